"""What has to be true of a recorded message of Dynamics 365, by the name of its file: as of_salesforce.py."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from shapes import lacking

from isthmus.codecs import dynamics_webhook
from isthmus.codecs.dynamics_batch import BatchAnswer, decode, decode_requests, encode
from isthmus.codecs.dynamics_delta import decode_page
from isthmus.config.errors import PermanentError
from isthmus.simulators.dynamics import STANDARD_TABLES, DynamicsEnvironment, serve_dynamics
from isthmus.simulators.dynamics.schema import table, text
from isthmus.systems.dynamics.errors import web_api_error
from isthmus.systems.dynamics.webhook import hint

ADDRESS = re.compile(rb"https://[^/\s]+(?=/api/)|\[Organization Uri\](?=/api/)", re.IGNORECASE)
EXAMPLE = table(
    "sample_example",
    "sample_examples",
    "sample_name",
    text("sample_name"),
    text("sample_keyattribute"),
    keys={"sample_key": ("sample_keyattribute",)},
)
THERE = ("00000000-0000-0000-0000-000000000001", "11111111-2222-3333-4444-555555555555")


@dataclass(frozen=True)
class Here:
    """An environment that somebody is logged in to by plain HTTP."""

    environment: DynamicsEnvironment
    http: aiohttp.ClientSession
    root: str

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, str, bytes]:
        """An answer's status, content type and body."""
        async with self.http.request(method, f"{self.root}/{path}", **options) as answer:
            return answer.status, answer.headers.get("Content-Type", ""), await answer.read()


@asynccontextmanager
async def here() -> AsyncIterator[Here]:
    environment = DynamicsEnvironment(seed=11, tables=[*STANDARD_TABLES, EXAMPLE])
    async with serve_dynamics(environment) as served, aiohttp.ClientSession() as http:
        login = {"client_id": environment.client_id, "client_secret": environment.client_secret}
        form = {"grant_type": "client_credentials", "scope": f"{served.http_url}/.default", **login}
        async with http.post(f"{served.http_url}/{environment.tenant}/oauth2/v2.0/token", data=form) as answer:
            http.headers["Authorization"] = f"Bearer {(await answer.json())['access_token']}"
        yield Here(environment, http, f"{served.http_url}/api/data/v9.2")


def split(content: bytes) -> tuple[bytes, str, bytes]:
    """The first line, the content type and the body of recorded HTTP; some answers were recorded without the type."""
    head, body = content.replace(b"\r\n", b"\n").split(b"\n\n", maxsplit=1)
    told = dict(line.split(": ", 1) for line in head.decode().splitlines()[1:] if ": " in line)
    mark = body.lstrip(b"\n").split(b"\n", 1)[0].removeprefix(b"--").decode()
    return head.split(b"\n", 1)[0], told.get("Content-Type", f"multipart/mixed; boundary={mark}"), body


def flat(parts: Any) -> list[BatchAnswer]:
    """The answers of a batch, those of changesets among them."""
    return [one for part in parts for one in ([part] if isinstance(part, BatchAnswer) else part)]


async def batch_request(content: bytes) -> None:
    """It is accepted as it is, and what our own codec makes of it too."""
    _, content_type, body = split(content)
    asked = decode_requests(content_type, body)
    again, anew = encode(asked, "batch_again")
    assert decode_requests(again, anew) == asked
    for kind, sent in ((content_type, body), (again, anew)):
        async with here() as at:
            for record_id in THERE:
                await at.call("PATCH", f"accounts({record_id})", json={"name": "Alder"})
            answer = await at.call("POST", "$batch", data=ADDRESS.sub(b"", sent), headers={"Content-Type": kind})
            status, answer_type, told = answer
            answers = flat(decode(answer_type, told))
        assert status == 200
        assert len(answers) == sum(len(one) if isinstance(one, tuple) else 1 for one in asked)
        assert all(one.status < 300 for one in answers), told


async def batch_answer(content: bytes) -> None:
    first, content_type, body = split(content)
    answers = flat(decode(content_type, body))
    assert len(answers) == body.count(b"\nHTTP/1.1 ")
    for one in answers:
        if one.status >= 400:
            fault = web_api_error(one.status, json.loads(one.body))
            assert isinstance(fault, PermanentError)
            assert fault.code.startswith("0x")
    assert any(one.status >= 400 for one in answers) == (b" 400 " in first)


async def tracked_page(content: bytes) -> None:
    told = json.loads(content)
    page = decode_page(told)
    gone = [one for one in told["value"] if "reason" in one or "$deletedEntity" in one.get("@odata.context", "")]
    assert page.delta_link
    assert (len(page.rows), len(page.deleted)) == (len(told["value"]) - len(gone), len(gone))
    async with here() as at:
        kept = at.environment.create("account", {"name": "Alder"})
        lost = at.environment.create("account", {"name": "Birch"})
        select, prefer = "accounts?$select=name,telephone1", {"Prefer": "odata.track-changes"}
        _, _, body = await at.call("GET", select, headers=prefer)
        if gone:
            at.environment.update("account", kept, {"name": "Cedar"})
            at.environment.delete("account", lost)
            link = json.loads(body)["@odata.deltaLink"].partition("/api/data/v9.2/")[2]
            _, _, body = await at.call("GET", link)
    ours = json.loads(body)
    plain = ("@odata.etag", "accountid", "name", "telephone1")
    known = {**told, "value": [{name: row[name] for name in plain} for row in told["value"] if "name" in row]}
    ours_live = {**ours, "value": [row for row in ours["value"] if "name" in row]}
    assert lacking(known, ours_live) == []
    if gone:
        assert lacking(gone, [row for row in ours["value"] if "name" not in row]) == []


async def upsert_multiple(content: bytes) -> None:
    told = json.loads(content)
    async with here() as at:
        status, _, body = await at.call("POST", "sample_examples/Microsoft.Dynamics.CRM.UpsertMultiple", json=told)
        assert status == 204, body
        assert len(at.environment.rows("sample_example")) == len(told["Targets"])
        status, _, _ = await at.call("POST", "sample_examples/Microsoft.Dynamics.CRM.UpsertMultiple", json=told)
        assert len(at.environment.rows("sample_example")) == len(told["Targets"])


async def webhook(content: bytes) -> None:
    changes, hints = dynamics_webhook.decode(content), hint(content, {})
    assert [(one.entity, one.record_id) for one in changes] == [(one.object, one.record_id) for one in hints]
    told = json.loads(content)
    assert {one.entity for one in changes} == {told["PrimaryEntityName"]}
    assert all(one.correlation == told["CorrelationId"] for one in hints)


CHECKS = {
    "*batch*request.http": batch_request,
    "client-batch-*.http": batch_request,
    "*batch*response*.http": batch_answer,
    "webapi-changetracking-*.json": tracked_page,
    "webapi-upsertmultiple-request.json": upsert_multiple,
    "webhook-*.json": webhook,
}
