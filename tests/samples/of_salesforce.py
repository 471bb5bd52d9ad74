"""What has to be true of a recorded message of Salesforce, by the name of its file.

A check gets the file's content. Events decode, errors classify, requests are accepted by the simulated org, answers are
read by the adapter, and where the org gives the like, it has the recorded answer's shape.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from fastavro import parse_schema, schemaless_writer
from shapes import lacking

from isthmus.codecs import salesforce_cometd
from isthmus.codecs.salesforce_pubsub import decode, read_schema
from isthmus.config.errors import AuthError, ConflictError, PermanentError, PlatformError, ReplayLost, TransientError
from isthmus.config.mapping import load_mappings
from isthmus.simulators.salesforce import STANDARD_OBJECTS, Field, Object, SalesforceOrg, serve_salesforce
from isthmus.simulators.salesforce.avro import schema_of
from isthmus.systems.protocol import Write, Written
from isthmus.systems.salesforce import collections, composite, jobs, scan, single
from isthmus.systems.salesforce.errors import login_error, meta_error, rest_error
from isthmus.systems.salesforce.pubsub_errors import pubsub_error
from isthmus.systems.salesforce.session import SalesforceConfig, Session
from isthmus.systems.salesforce.wish import Wish

ACCOUNT = load_mappings().objects("salesforce")["Account"]
UPSERT = Wish(ACCOUNT, Write("Account", "can-1", None, {"Name": "Alder"}), {"Account": "Isthmus_Id__c"})
GRPC_STATUS = {7: "PERMISSION_DENIED", 13: "INTERNAL", 14: "UNAVAILABLE", 16: "UNAUTHENTICATED"}
# Older servers told these; newer traces have them no more (salesforce.md §1.1).
NO_LONGER = {"$.advice.multiple-clients is missing", "$.reestablish is missing"}
OPPORTUNITY = Object(
    "Opportunity",
    "006",
    {
        **{name: spec for name, spec in STANDARD_OBJECTS[0].fields.items() if not spec.updateable},
        "Name": Field("Name", required=True),
        "CloseDate": Field("CloseDate", "date"),
        "StageName": Field("StageName"),
        "AccountId": Field("AccountId", "reference", refers_to="Account"),
    },
)


@dataclass(frozen=True)
class Here:
    """An org that somebody is logged in to, by our own session and by plain HTTP."""

    org: SalesforceOrg
    session: Session
    http: aiohttp.ClientSession
    url: str

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """An answer's status and JSON; the path below the API's root, or an absolute one."""
        full = path if path.startswith(("/services", "/cometd")) else f"/services/data/v60.0{path}"
        async with self.http.request(method, self.url + full, **options) as answer:
            return answer.status, await answer.json(content_type=None)

    def answers(self, status: int, body: Any, path: str) -> None:
        """The next request to a path is answered with a recorded body."""
        self.org.faults.fail(1, status, body, path=path)


@asynccontextmanager
async def here() -> AsyncIterator[Here]:
    org = SalesforceOrg(seed=11, objects=[*STANDARD_OBJECTS, OPPORTUNITY])
    for name in ("MyExtId__c", "customExtIdField__c", "ExternalAcctId__c"):
        org.add_field("Account", Field(name, external_id=True))
    org.add_field("Account", Field("Type"))
    async with serve_salesforce(org, hold=0.5) as url:
        session = Session(SalesforceConfig(url, org.client_id, org.client_secret))
        await session.open()
        token = (await session.tokens.current()).value
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http:
            yield Here(org, session, http, url)
        await session.close()


def answered(wish: Wish, told: Any) -> Written | PlatformError:
    """One record's result in a list of them."""
    return collections.outcome(wish, told)


def is_refusal(told: Any, code: str | None = None) -> None:
    """An error that somebody thought of."""
    assert isinstance(told, PlatformError)
    assert told.code not in ("ANSWER", "UNEXPECTED")
    assert code is None or told.code == code


# -- events


async def cometd_event(content: Any) -> None:
    changes, told = salesforce_cometd.decode(content), headers(content)
    assert told
    assert [change.record_id for change in changes] == [one for header in told for one in header["recordIds"]]
    assert {change.entity for change in changes} == {header["entityName"] for header in told}


def headers(content: Any) -> list[Mapping[str, Any]]:
    """The event headers anywhere in a message."""
    if isinstance(content, list):
        return [header for one in content for header in headers(one)]
    if not isinstance(content, dict):
        return []
    own = [content["ChangeEventHeader"]] if "ChangeEventHeader" in content else []
    return own + [header for value in content.values() for header in headers(value)]


async def pubsub_event(content: Any) -> None:
    """As bytes of a schema that has the event's own fields, and back."""
    schema = read_schema(json.dumps(avro_of(content)).encode())
    changes = decode(written(content, avro_of(content)), schema)
    header = content["ChangeEventHeader"]
    assert [change.record_id for change in changes] == header["recordIds"]
    assert {change.entity for change in changes} == {header["entityName"]}
    told = {name.partition(".")[0] for name in changes[0].fields}
    there = {name for name, value in content.items() if holds(value)} - {"ChangeEventHeader"}
    assert told <= there
    match header["changeType"]:
        case "CREATE":
            assert told == there
        case "UPDATE":
            # The date that every update has, and what somebody changed.
            assert {"LastModifiedDate"} < told
        case _:
            assert changes[0].operation in ("gap", "delete")


def holds(value: Any) -> bool:
    """Is it, or any part of it, more than null?"""
    return any(map(holds, value.values())) if isinstance(value, dict) else value is not None


def avro_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """A schema of an event's fields in their order, with the header of any change event."""
    org = SalesforceOrg()
    header = next(
        field
        for field in json.loads(schema_of(org.objects["Account"]).text)["fields"]
        if field["name"] == "ChangeEventHeader"
    )
    fields = [field_of(name, value) for name, value in event.items() if name != "ChangeEventHeader"]
    name = f"{event['ChangeEventHeader']['entityName']}ChangeEvent"
    return {"type": "record", "name": name, "namespace": "com.sforce.eventbus", "fields": [header, *fields]}


def field_of(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        kind: Any = {"type": "array", "items": "string"}
    elif isinstance(value, dict):
        parts = [field_of(part, inner) for part, inner in value.items()]
        kind = {"type": "record", "name": f"Compound{name}", "fields": parts}
    else:
        kind = {bool: "boolean", int: "long", float: "double"}.get(type(value), "string")
    return {"name": name, "type": ["null", kind], "default": None}


def written(event: Mapping[str, Any], schema: Any) -> bytes:
    to = io.BytesIO()
    schemaless_writer(to, parse_schema(schema), event)
    return to.getvalue()


async def pubsub_payload(content: Any) -> None:
    """Recorded bytes need their recorded schema (tests/codecs reads them with it); here: they are what they seem."""
    answers = content if isinstance(content, list) else [content]
    events = [one["event"] for answer in answers for one in answer.get("events", [answer])]
    assert events
    for event in events:
        assert b"Account" in base64.b64decode(event["payload"])[:16]


async def decoded_payload(content: Any) -> None:
    """Their finder left out the nulls, so bitmaps count fields that are not here."""
    for event in content:
        body = event["decoded_nonnull"]
        unnamed = {"changedFields": [], "nulledFields": [], "diffFields": []}
        await pubsub_event({**body, "ChangeEventHeader": {**body["ChangeEventHeader"], **unnamed}})


async def avro_schema(content: Any) -> None:
    schema = read_schema(json.dumps(content).encode())
    assert schema.fields.names[0] == "ChangeEventHeader"
    assert {"LastModifiedDate", "CreatedDate"} <= set(schema.fields.names)
    ours = schema_of(SalesforceOrg().objects["Account"])
    names = {field["name"] for field in json.loads(ours.text)["fields"] if not field["name"].endswith("__c")}
    if content["name"] == "AccountChangeEvent":
        assert names <= set(schema.fields.names)


# -- streaming


async def bayeux_error(content: Any) -> None:
    for message in content:
        fault = meta_error(message)
        text = json.dumps(message)
        kind = ReplayLost if "replayId {" in text else AuthError if "401::" in text else PlatformError
        assert isinstance(fault, kind), fault
        assert isinstance(fault, TransientError) or "Unknown client" not in text
    assert salesforce_cometd.decode(content) == []


async def bayeux_answer(content: Any) -> None:
    """Nothing to tell, and the simulated org answers in the same shape."""
    assert salesforce_cometd.decode(content) == []
    async with here() as at:
        ours = {one["channel"]: one for one in await Conversation(at).through()}
    for message in content:
        assert set(lacking(message, ours[message["channel"]])) <= NO_LONGER


async def bayeux_request(content: Any) -> None:
    async with here() as at:
        talk = Conversation(at)
        await talk.through()
        answers = await talk.say(content)
    assert [(one["channel"], one["subscription"]) for one in answers] == [
        (one["channel"], one["subscription"]) for one in content
    ]
    assert all(isinstance(one["successful"], bool) for one in answers)


async def bayeux_trace(content: Any) -> None:
    """What was sent is sent to the simulated org, and answered as it was answered."""
    assert salesforce_cometd.decode(content) == []
    async with here() as at:
        talk = Conversation(at)
        for asked, told in itertools.pairwise(content):
            if asked["dir"] == "->" and told["dir"] == "<-":
                at.org.create("Account", {"Name": "Alder"})
                ours = {one["channel"]: one for one in await talk.say(asked["body"])}
                assert ours.keys() >= {one["channel"] for one in asked["body"]}
                for one in told["body"]:
                    if str(one["channel"]).startswith("/meta/"):
                        assert ours[one["channel"]]["successful"] == one["successful"]


class Conversation:
    """Plain Bayeux with the simulated org, under the client id that it gives."""

    def __init__(self, at: Here) -> None:
        self._at = at
        self._client = ""

    async def say(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Messages, and what was answered."""
        sent = [{**one, "clientId": self._client} if "clientId" in one else one for one in messages]
        status, told = await self._at.call("POST", "/cometd/60.0/", json=sent)
        assert status == 200, told
        self._client = next((str(one["clientId"]) for one in told if one.get("clientId")), self._client)
        answers: list[dict[str, Any]] = told
        return answers

    async def through(self) -> list[dict[str, Any]]:
        """A handshake, a connect and a subscription."""
        hands = {"channel": "/meta/handshake", "id": "1", "version": "1.0", "ext": {"replay": True}}
        found = await self.say([{**hands, "supportedConnectionTypes": ["long-polling"]}])
        connect = {"channel": "/meta/connect", "id": "2", "clientId": "", "connectionType": "long-polling"}
        found += await self.say([connect])
        subscribe = {"channel": "/meta/subscribe", "id": "3", "clientId": "", "subscription": "/data/ChangeEvents"}
        return found + await self.say([subscribe])


async def grpc_error(content: Any) -> None:
    code = content["metadata"].get("error-code", [""])[0]
    fault = pubsub_error(GRPC_STATUS[content["code"]], code, content["details"])
    assert isinstance(fault, TransientError)


# -- logins


async def login_errors(content: Any) -> None:
    for one in content:
        fault = login_error(one["http"], one["body"])
        assert isinstance(fault, AuthError)
        assert one["body"]["error"] in str(fault)


async def login_answer(content: Any) -> None:
    async with here() as at:
        at.answers(200, {**content, "instance_url": at.url}, "/services/oauth2/token")
        at.session.tokens.refused(await at.session.tokens.current())
        assert (await at.session.tokens.current()).value == content["access_token"]
        _, ours = await at.call("POST", "/services/oauth2/token", data={
            "grant_type": "client_credentials", "client_id": at.org.client_id, "client_secret": at.org.client_secret,
        })  # fmt: skip
    assert lacking(content, ours) == []


# -- REST


async def rest_refusal(content: Any) -> None:
    body = content["body"] if isinstance(content, dict) else content
    told = rest_error(404 if body[0]["errorCode"] == "NOT_FOUND" else 400, body)
    is_refusal(told, body[0]["errorCode"])
    assert isinstance(told, ConflictError if body[0]["errorCode"] == "NOT_FOUND" else PermanentError)


async def one_written(content: Any) -> None:
    async with here() as at:
        at.answers(201, content, "/sobjects/Account")
        written = await single.write(at.session, UPSERT)
        _, ours = await at.call("PATCH", "/sobjects/Account/Isthmus_Id__c/x", json={"Name": "Alder"})
    assert (written.record_id, written.created) == (content["id"], True)
    assert lacking(content, ours) == []


async def one_upsert(content: Any) -> None:
    async with here() as at:
        status, told = await at.call("PATCH", "/sobjects/Account/customExtIdField__c/1", json=content)
    assert (status, told["success"]) == (201, True)


async def collection_request(content: Any) -> None:
    async with here() as at:
        status, told = await at.call("PATCH", "/composite/sobjects/Account/MyExtId__c", json=content)
        assert status == 200
        assert [one["success"] for one in told] == [True] * len(content["records"])
        assert len(at.org.rows("Account")) == len(content["records"])


async def collection_answer(content: Any) -> None:
    for one in content:
        told = answered(UPSERT, one)
        if one["success"]:
            assert isinstance(told, Written)
            assert (told.record_id, told.created) == (one["id"], one.get("created", False))
        else:
            is_refusal(told, one["errors"][0]["statusCode"])


async def collection_retrieved(content: Any) -> None:
    async with here() as at:
        ids = [at.org.create("Account", {"Name": "Alder"}), "001000000000000AAA"]
        _, ours = await at.call("POST", "/composite/sobjects/Account", json={"ids": ids, "fields": ["Id", "Name"]})
    assert lacking(content, ours) == []
    assert (content[-1], ours[-1]) == (None, None)


async def composite_request(content: Any) -> None:
    async with here() as at:
        path, answers = ("/composite/graph", "graphs") if "graphs" in content else ("/composite", "compositeResponse")
        status, told = await at.call("POST", path, json=content)
        assert status == 200, told
        graphs = [one["graphResponse"] for one in told["graphs"]] if answers == "graphs" else [told]
        assert {one["httpStatusCode"] for graph in graphs for one in graph["compositeResponse"]} == {201}


async def composite_answer(content: Any) -> None:
    graphs = [one["graphResponse"] for one in content["graphs"]] if "graphs" in content else [content]
    for one in (response for graph in graphs for response in graph["compositeResponse"]):
        if isinstance(one["body"], list) and "success" in one["body"][0]:
            await collection_answer(one["body"])
            continue
        told = composite.outcome(UPSERT, one)
        if one["httpStatusCode"] < 300:
            assert isinstance(told, Written)
            assert told.record_id == one["body"]["id"]
        else:
            is_refusal(told, one["body"][0]["errorCode"])


async def deletions(content: Any) -> None:
    async with here() as at:
        at.answers(200, content, "/deleted")
        start = datetime.fromisoformat(content["earliestDateAvailable"]).astimezone(UTC)
        told = await scan.deleted(at.session, ACCOUNT, start)
        at.org.delete("Account", at.org.create("Account", {"Name": "Alder"}))
        _, ours = await at.call("GET", f"/sobjects/Account/deleted/?{lately()}")
    assert told == {one["id"] for one in content["deletedRecords"]}
    assert lacking(content, ours) == []


async def updates(content: Any) -> None:
    async with here() as at:
        at.org.create("Account", {"Name": "Alder"})
        _, ours = await at.call("GET", f"/sobjects/Account/updated/?{lately()}")
    assert lacking(content, ours) == []


def lately() -> str:
    """From an hour ago to the next one, as getDeleted takes it."""
    now, hour = datetime.now(UTC), timedelta(hours=1)
    return urlencode({"start": (now - hour).isoformat(), "end": (now + hour).isoformat()})


async def limits(content: Any) -> None:
    async with here() as at:
        status, ours = await at.call("GET", "/limits")
    assert status == 200
    assert lacking(content["DailyApiRequests"], ours["DailyApiRequests"]) == []


# -- Bulk API 2.0


async def bulk_request(content: Any) -> None:
    kind = "query" if content["operation"].startswith("query") else "ingest"
    async with here() as at:
        status, told = await at.call("POST", f"/jobs/{kind}", json=content)
    assert status == 200, told
    assert told["state"] == ("UploadComplete" if kind == "query" else "Open")


async def bulk_made(content: Any) -> None:
    kind: jobs.Kind = "query" if content["operation"] == "query" else "ingest"
    wanted = {"operation": "query", "query": "SELECT Id FROM Account"}
    if kind == "ingest":
        wanted = {"object": "Account", "contentType": "CSV", "operation": "upsert", "lineEnding": "LF"}
        wanted["externalIdFieldName"] = "customExtIdField__c"
    async with here() as at:
        at.answers(200, content, f"/jobs/{kind}")
        assert await jobs.create(at.session, kind, wanted) == content["id"]
        _, ours = await at.call("POST", f"/jobs/{kind}", json=wanted)
    assert lacking(content, ours) == []


async def bulk_info(content: Any) -> None:
    kind: jobs.Kind = "query" if content["operation"] == "query" else "ingest"
    async with here() as at:
        at.org.faults.fail(9, 200, content, path=f"/jobs/{kind}")
        if content["state"] in ("JobComplete", "Failed"):
            assert (await jobs.finished(at.session, kind, content["id"]))["id"] == content["id"]
        else:
            with pytest.raises(jobs.Unfinished):
                await jobs.finished(at.session, kind, content["id"], patience=0.01)


async def bulk_refusal(content: Any) -> None:
    is_refusal(rest_error(400, content), content[0]["errorCode"])


CHECKS = {
    "bulk2-error-*.json": bulk_refusal,
    "bulk2-*-create-request.json": bulk_request,
    "bulk2-*-create-response.json": bulk_made,
    "bulk2-*-job-info.json": bulk_info,
    "cometd-account-*.json": cometd_event,
    "cometd-employee-*.json": cometd_event,
    "cometd-bulk-subscribe-request.json": bayeux_request,
    "cometd-error-*.json": bayeux_error,
    "cometd-*-response.json": bayeux_answer,
    "cometd-session-trace.json": bayeux_trace,
    "oauth-errors.json": login_errors,
    "oauth-token-response.json": login_answer,
    "pubsub-raw-*.decoded.json": decoded_payload,
    "pubsub-raw-*.json": pubsub_payload,
    "pubsub-grpc-error-*.json": grpc_error,
    "pubsub-*.json": pubsub_event,
    "rest-collections-upsert-request.json": collection_request,
    "rest-collections-retrieve.json": collection_retrieved,
    "rest-collections-*.json": collection_answer,
    "rest-composite-upsert-request.json": composite_request,
    "rest-graph-request.json": composite_request,
    "rest-composite-subrequest-error.json": rest_refusal,
    "rest-composite-*.json": composite_answer,
    "rest-graph-response.json": composite_answer,
    "rest-create-201.json": one_written,
    "rest-upsert-201.json": one_written,
    "rest-upsert-request.json": one_upsert,
    "rest-error-*.json": rest_refusal,
    "rest-getdeleted.json": deletions,
    "rest-getupdated.json": updates,
    "rest-limits.json": limits,
    "schema-*.avsc.json": avro_schema,
}
