"""The webhooks as a receiver sees them: a real one, on localhost (dynamics.md §1)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from isthmus.simulators.dynamics import STANDARD_TABLES, Column, DynamicsEnvironment, Served, serve_dynamics, table
from isthmus.simulators.dynamics.context import encode

CONTRACTS = "http://schemas.microsoft.com/xrm/2011/Contracts"
SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "dynamics"
MOMENT = datetime(2026, 3, 1, 12, 0, 5, 750_000, tzinfo=UTC)
MILLISECONDS = int(MOMENT.timestamp()) * 1000


@dataclass
class Received:
    """One webhook request."""

    headers: Mapping[str, str]
    query: Mapping[str, str]
    raw: bytes

    @property
    def context(self) -> dict[str, Any]:
        return dict(json.loads(self.raw))

    @property
    def target(self) -> dict[str, Any]:
        return dict(bag(self.context["InputParameters"])["Target"])

    @property
    def attributes(self) -> dict[str, Any]:
        return bag(self.target["Attributes"])


@dataclass
class Receiver:
    """A webhook endpoint. `statuses` are its next answers, then 200; while `gate` is shut it does not answer."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    on_receipt: Callable[[], None] = lambda: None

    async def answer(self, request: web.Request) -> web.Response:
        self.received.append(Received(request.headers.copy(), dict(request.query), await request.read()))
        self.on_receipt()
        status = self.statuses.pop(0) if self.statuses else 200
        await self.gate.wait()
        return web.Response(status=status)


def bag(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    return {pair["key"]: pair["value"] for pair in pairs}


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    receiver.gate.set()
    app = web.Application(client_max_size=10**7)
    app.router.add_post("/hook", receiver.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        receiver.gate.set()
        await runner.cleanup()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
def environment() -> DynamicsEnvironment:
    return DynamicsEnvironment(seed=11, clock=lambda: MOMENT)


@pytest.fixture
async def served(environment: DynamicsEnvironment) -> AsyncIterator[Served]:
    async with serve_dynamics(environment) as served:
        yield served


@contextlib.asynccontextmanager
async def web_api(environment: DynamicsEnvironment, served: Served) -> AsyncIterator[aiohttp.ClientSession]:
    form = {
        "grant_type": "client_credentials",
        "client_id": environment.client_id,
        "client_secret": environment.client_secret,
        "scope": f"{served.http_url}/.default",
    }
    url = f"{served.http_url}/{environment.tenant}/oauth2/v2.0/token"
    async with aiohttp.ClientSession() as session, session.post(url, data=form) as response:
        token = (await response.json())["access_token"]
    base = f"{served.http_url}/api/data/v9.2/"
    async with aiohttp.ClientSession(base, headers={"Authorization": f"Bearer {token}"}) as session:
        yield session


# -- what is in them


async def test_a_create_tells_everything_with_its_types(
    environment: DynamicsEnvironment, served: Served, receiver: Receiver
) -> None:
    environment.register_webhook(receiver.url, ("WebhookKey", "s3cret"))
    own = environment.create("account", {"name": "A", "creditlimit": 2154.32, "numberofemployees": 1234})
    await environment.until_settled()

    [one] = receiver.received
    assert one.query == {"code": "s3cret"}
    assert one.headers["Content-Type"] == "application/json"
    assert one.headers["x-ms-dynamics-organization"].endswith(".crm.dynamics.com")
    assert one.headers["x-ms-dynamics-entity-name"] == "account"
    assert one.headers["x-ms-dynamics-request-name"] == "Create"
    assert one.headers["x-ms-correlation-request-id"] == one.context["CorrelationId"]
    assert "x-ms-dynamics-msg-size-exceeded" not in one.headers
    assert b"http:\\/\\/schemas.microsoft.com" in one.raw
    assert f'"\\/Date({MILLISECONDS})\\/"'.encode() in one.raw
    assert b'"versionnumber"' not in one.raw

    assert one.attributes["creditlimit"] == {"__type": f"Money:{CONTRACTS}", "Value": 2154.32}
    assert one.attributes["statecode"] == {"__type": f"OptionSetValue:{CONTRACTS}", "Value": 0}
    assert one.attributes["createdon"] == f"/Date({MILLISECONDS})/"
    assert one.attributes["accountid"] == own
    owner = one.attributes["ownerid"]
    assert (owner["__type"], owner["Id"], owner["LogicalName"]) == (
        f"EntityReference:{CONTRACTS}",
        environment.person,
        "systemuser",
    )
    assert bag(one.target["FormattedValues"])["numberofemployees"] == "1,234"
    assert one.context["OutputParameters"] == [{"key": "id", "value": own}]
    assert one.context["InitiatingUserId"] == environment.person


async def test_an_update_tells_only_what_was_submitted(
    environment: DynamicsEnvironment, served: Served, receiver: Receiver
) -> None:
    own = environment.create("contact", {"firstname": "Ada", "lastname": "L", "jobtitle": "Buyer"})
    environment.register_webhook(receiver.url, entities=["contact"])
    environment.update("contact", own, {"lastname": "M", "jobtitle": None})
    await environment.until_settled()

    [one] = receiver.received
    touched = {"modifiedon", "modifiedby", "modifiedonbehalfby"}
    assert set(one.attributes) == {"lastname", "jobtitle", "contactid", "fullname"} | touched
    assert one.attributes["jobtitle"] is None
    assert one.attributes["fullname"] == "Ada M"
    parent = bag(one.context["ParentContext"]["InputParameters"])["Target"]
    assert set(bag(parent["Attributes"])) == {"lastname", "jobtitle", "contactid"}
    image = bag(one.context["PostEntityImages"])["AsynchronousStepPrimaryName"]
    assert "__type" not in image
    assert bag(image["Attributes"]) == {"fullname": "Ada M", "contactid": own}


async def test_a_delete_names_the_row_and_nothing_else(
    environment: DynamicsEnvironment, served: Served, receiver: Receiver
) -> None:
    own = environment.create("account", {"name": "A"})
    environment.register_webhook(receiver.url)
    environment.delete("account", own)
    await environment.until_settled()

    [one] = receiver.received
    assert (one.target["__type"], one.target["Id"]) == (f"EntityReference:{CONTRACTS}", own)
    assert "Attributes" not in one.target
    assert one.context["PostEntityImages"] == []
    assert one.context["PrimaryEntityId"] == own


async def test_an_update_of_state_and_columns_comes_twice(
    environment: DynamicsEnvironment, served: Served, receiver: Receiver
) -> None:
    own = environment.create("account", {"name": "A"})
    environment.register_webhook(receiver.url)
    environment.update("account", own, {"name": "B", "statecode": 1})
    await environment.until_settled()

    plain, state = receiver.received
    assert "statecode" not in plain.attributes
    assert "name" not in state.attributes
    assert state.attributes["statuscode"]["Value"] == 2, "the status follows the state"
    assert set(bag(state.context["ParentContext"]["InputParameters"])) == {"EntityMoniker", "State", "Status"}


async def test_a_merge_names_both_and_moves_what_referred_to_the_loser(
    environment: DynamicsEnvironment, served: Served, receiver: Receiver
) -> None:
    winner, loser = (environment.create("account", {"name": name}) for name in ("w", "l"))
    child = environment.create("contact", {"lastname": "Ada", "parentcustomerid": ("account", loser)})
    environment.register_webhook(receiver.url, entities=["account", "contact"], messages=["Merge", "Update"])
    environment.merge("account", winner, loser, {"telephone1": "1"})
    await environment.until_settled()
    bodies = [one.context for one in receiver.received]
    (merge,) = [one for one in bodies if one["MessageName"] == "Merge"]
    inputs = bag(merge["InputParameters"])
    assert (inputs["Target"]["Id"], inputs["SubordinateId"]) == (winner, loser)
    assert bag(inputs["UpdateContent"]["Attributes"]) == {"telephone1": "1"}
    assert {one["PrimaryEntityId"] for one in bodies if one["MessageName"] == "Update"} == {winner, loser, child}


async def test_an_asynchronous_body_carries_the_shifted_date_of_its_server(served: Served, receiver: Receiver) -> None:
    shifted = DynamicsEnvironment(clock=lambda: MOMENT, utc_offset=-420)
    shifted.register_webhook(receiver.url)
    async with serve_dynamics(shifted):
        shifted.create("account", {"name": "A"})
        await shifted.until_settled()
    seven_hours = 7 * 3600 * 1000
    assert receiver.received[0].context["OperationCreatedOn"] == f"/Date({MILLISECONDS + seven_hours}-0700)/"


async def test_modes_differ_as_the_captures_do(
    environment: DynamicsEnvironment, served: Served, receiver: Receiver
) -> None:
    environment.register_webhook(receiver.url, mode="sync", entities=["account"])
    environment.register_webhook(receiver.url, mode="async", entities=["account"])
    environment.create("account", {"name": "A"})
    await environment.until_settled()

    first, second = (one.context for one in receiver.received)
    assert (first["Mode"], second["Mode"]) == (0, 1), "synchronous steps run first"
    assert first["OperationId"] == first["RequestId"]
    assert second["OperationId"] != second["RequestId"]
    assert first["OwningExtension"]["Name"] == "Webhook: Create of account"
    assert second["OwningExtension"]["Name"] is None
    assert (first["IsInTransaction"], second["IsInTransaction"]) == (True, False)
    assert first["OperationCreatedOn"] == f"/Date({MILLISECONDS + 750})/"
    assert second["OperationCreatedOn"] == f"/Date({MILLISECONDS}+0000)/"


@pytest.mark.parametrize(
    ("sample", "message", "mode"),
    [
        ("webhook-create-alltypes-async-2020.json", "Create", "async"),
        ("webhook-update-account-sync-parentcontext-2018.EDITED.json", "Update", "sync"),
        ("webhook-update-contact-async-msdocs.json", "Update", "async"),
    ],
)
async def test_bodies_have_the_shape_of_real_captures(
    environment: DynamicsEnvironment, served: Served, receiver: Receiver, sample: str, message: str, mode: Any
) -> None:
    if not (SAMPLES / sample).exists():
        pytest.skip("no samples here")
    captured = json.loads((SAMPLES / sample).read_text())
    own = environment.create("account", {"name": "A"})
    environment.register_webhook(receiver.url, mode=mode)
    if message == "Create":
        environment.create("account", {"name": "B", "creditlimit": 1})
    else:
        environment.update("account", own, {"name": "B"})
    await environment.until_settled()

    ours = receiver.received[0].context
    assert set(captured) <= set(ours)
    assert set(ours) - set(captured) <= {
        "InitiatingUserAgent",
        "InitiatingUserAzureActiveDirectoryObjectId",
        "UserAzureActiveDirectoryObjectId",
    }
    theirs = bag(captured["InputParameters"])["Target"]
    assert set(receiver.received[0].target) == set(theirs)
    for name in ("Mode", "Stage", "IsInTransaction", "IsolationMode", "Depth", "SecondaryEntityName"):
        assert ours[name] == captured[name], name
    for name, value in captured.items():
        if value is not None and ours[name] is not None:
            assert type(ours[name]) is type(value), name


# -- credentials, registration, filters, tags


async def test_pairs_travel_as_headers_or_in_the_query(
    environment: DynamicsEnvironment, served: Served, receiver: Receiver
) -> None:
    environment.register_webhook(receiver.url, ("HttpHeader", {"x-own": 'a"<b'}), ["account"], ["Create"])
    environment.register_webhook(receiver.url, ("HttpQueryString", {"k": "v w"}), ["account"], ["Create"])
    environment.create("account", {"name": "A"})
    await environment.until_settled()

    assert sorted((one.headers.get("x-own"), one.query.get("k")) for one in receiver.received if one.query) == [
        (None, "v w")
    ]
    assert [one.headers["x-own"] for one in receiver.received if "x-own" in one.headers] == ['a"<b']


async def test_a_step_registered_over_the_web_api_fires_for_its_columns_only(
    environment: DynamicsEnvironment, served: Served, receiver: Receiver
) -> None:
    own = environment.create("account", {"name": "A"})
    async with web_api(environment, served) as session:
        endpoint = {"name": "own", "contract": 8, "authtype": 4, "authvalue": "key", "url": receiver.url}
        async with session.post("serviceendpoints", json=endpoint) as response:
            endpoint_url = response.headers["OData-EntityId"]
        async with session.get(endpoint_url) as response:
            assert "authvalue" not in await response.json()
        async with session.get("sdkmessages", params={"$filter": "name eq 'Update'"}) as response:
            message = (await response.json())["value"][0]["sdkmessageid"]
        only = f"primaryobjecttypecode eq 'account' and _sdkmessageid_value eq {message}"
        async with session.get("sdkmessagefilters", params={"$filter": only}) as response:
            chosen = (await response.json())["value"][0]["sdkmessagefilterid"]
        step = {
            "name": "Isthmus: Update of account",
            "stage": 40,
            "rank": 1,
            "mode": 1,
            "supporteddeployment": 0,
            "asyncautodelete": True,
            "filteringattributes": "name,telephone1",
            "eventhandler_serviceendpoint@odata.bind": f"/serviceendpoints({endpoint_url[-37:-1]})",
            "sdkmessageid@odata.bind": f"/sdkmessages({message})",
            "sdkmessagefilterid@odata.bind": f"/sdkmessagefilters({chosen})",
        }
        async with session.post("sdkmessageprocessingsteps", json=step) as response:
            assert response.status == 204, await response.text()
    for change in ({"websiteurl": "w"}, {"telephone1": "1"}):
        environment.update("account", own, change)
    environment.create("account", {"name": "B"})
    await environment.until_settled()

    [one] = receiver.received
    assert one.attributes["telephone1"] == "1"
    assert one.query == {"code": "key"}


@pytest.mark.parametrize("in_parent", [False, True])
async def test_a_tag_travels_in_the_shared_variables(receiver: Receiver, in_parent: bool) -> None:
    environment = DynamicsEnvironment(tag_in_parent=in_parent)
    environment.register_webhook(receiver.url)
    async with serve_dynamics(environment) as served, web_api(environment, served) as session:
        async with session.patch("accounts(isthmus_id='a')?tag=ours", json={"name": "A"}) as response:
            assert response.status == 204
        await environment.until_settled()
    context = receiver.received[0].context
    assert bag(context["ParentContext"]["SharedVariables"])["tag"] == "ours"
    assert bag(context["SharedVariables"]).get("tag") == (None if in_parent else "ours")
    assert context["InitiatingUserId"] == environment.application_user


async def test_a_body_over_256_kb_loses_its_large_parts(receiver: Receiver) -> None:
    note = table("note", "notes", "subject", Column("subject", max_length=10**6))
    environment = DynamicsEnvironment(tables=(*STANDARD_TABLES, note))
    environment.register_webhook(receiver.url)
    async with serve_dynamics(environment):
        environment.create("note", {"subject": "x" * 50_000})
        own = environment.create("note", {"subject": "x" * 300_000})
        await environment.until_settled()
    small, large = sorted(receiver.received, key=lambda one: one.headers.get("x-ms-dynamics-msg-size-exceeded", ""))
    assert "x-ms-dynamics-msg-size-exceeded" not in small.headers
    assert "ParentContext" in small.context
    assert large.headers["x-ms-dynamics-msg-size-exceeded"] == "true"
    left_out = {"ParentContext", "InputParameters", "PreEntityImages", "PostEntityImages"}
    assert not left_out & set(large.context)
    assert (large.context["PrimaryEntityId"], large.context["MessageName"]) == (own, "Create")


def test_the_limit_is_256_kb_to_the_byte() -> None:
    shell = len(encode({"InputParameters": ""})[0])
    fits, over = (encode({"InputParameters": "x" * (256 * 1024 - shell + extra)}) for extra in (0, 1))
    assert (len(fits[0]), fits[1]) == (256 * 1024, False)
    assert over == (b"{}", True)


async def test_bulk_updates_raise_one_plain_update_a_row(
    environment: DynamicsEnvironment, served: Served, receiver: Receiver
) -> None:
    ids = [environment.create("account", {"name": name}) for name in ("A", "B")]
    environment.register_webhook(receiver.url)
    targets = [{"accountid": own, "statecode": 1} for own in ids]
    async with (
        web_api(environment, served) as session,
        session.post("accounts/Microsoft.Dynamics.CRM.UpdateMultiple", json={"Targets": targets}) as response,
    ):
        assert response.status == 204
    await environment.until_settled()
    assert sorted((one.context["MessageName"], one.context["PrimaryEntityId"]) for one in receiver.received) == sorted(
        ("Update", own) for own in ids
    )


# -- delivery


@pytest.mark.parametrize(
    ("answers", "attempts", "fails"),
    [
        ([200], 1, False),
        ([202], 1, False),
        ([502], 2, False),
        ([503], 2, False),
        ([504], 2, False),
        ([503, 503], 2, True),
        ([503, 500], 2, True),
        ([500], 1, True),
        ([429], 1, True),
        ([401], 1, True),
    ],
)
async def test_only_502_503_and_504_get_one_more_attempt(
    environment: DynamicsEnvironment,
    served: Served,
    receiver: Receiver,
    answers: list[int],
    attempts: int,
    fails: bool,
) -> None:
    receiver.statuses = answers
    environment.register_webhook(receiver.url)
    environment.create("account", {"name": "A"})
    await environment.until_settled()
    assert len(receiver.received) == attempts
    assert len(environment.failed()) == fails


async def test_a_receiver_that_does_not_answer_in_time_is_not_tried_again(receiver: Receiver) -> None:
    receiver.gate.clear()
    environment = DynamicsEnvironment(webhook_timeout=0.2)
    environment.register_webhook(receiver.url)
    async with serve_dynamics(environment):
        environment.create("account", {"name": "A"})
        await environment.until_settled()
    assert len(receiver.received) == 1
    [failed] = environment.failed()
    assert environment.row("asyncoperation", failed)["message"] == "no answer in time"


async def test_a_failed_job_can_be_found_and_resumed(
    environment: DynamicsEnvironment, served: Served, receiver: Receiver
) -> None:
    [step] = environment.register_webhook(receiver.url, entities=["account"], messages=["Create"])
    receiver.statuses = [500]
    environment.create("account", {"name": "A"})
    await environment.until_settled()

    async with web_api(environment, served) as session:
        only = f"statuscode eq 31 and _owningextensionid_value eq {step}"
        async with session.get("asyncoperations", params={"$filter": only}) as response:
            [job] = (await response.json())["value"]
    assert (job["statecode"], job["statuscode"]) == (3, 31)
    assert job["asyncoperationid"] == receiver.received[0].context["OperationId"]

    environment.resume(job["asyncoperationid"])
    await environment.until_settled()
    assert [one.raw for one in receiver.received] == [receiver.received[0].raw] * 2
    assert environment.failed() == []
    assert environment.rows("asyncoperation") == {}


async def test_a_synchronous_failure_is_the_callers_and_leaves_a_ghost(
    environment: DynamicsEnvironment, served: Served, receiver: Receiver
) -> None:
    own = environment.create("account", {"name": "A"})
    environment.register_webhook(receiver.url, mode="sync")
    environment.register_webhook(receiver.url, mode="async")
    receiver.statuses = [500]
    async with (
        web_api(environment, served) as session,
        session.patch(f"accounts({own})", json={"name": "B"}) as response,
    ):
        body = await response.json()
    await environment.until_settled()
    assert (response.status, body["error"]["code"]) == (400, "0x80040265")
    assert environment.row("account", own)["name"] == "A"
    assert [one.context["Mode"] for one in receiver.received] == [0], "no asynchronous step for what did not commit"


async def test_a_persons_write_is_taken_back_when_a_synchronous_webhook_fails(
    environment: DynamicsEnvironment, served: Served, receiver: Receiver
) -> None:
    environment.register_webhook(receiver.url, mode="sync")
    receiver.statuses = [400]
    environment.create("account", {"name": "A"})
    await environment.until_settled()
    assert environment.rows("account") == {}
    assert len(environment.refused) == 1


async def test_what_is_rolled_back_on_order_was_told_to_synchronous_steps_only(
    environment: DynamicsEnvironment, served: Served, receiver: Receiver
) -> None:
    environment.register_webhook(receiver.url, mode="sync")
    environment.register_webhook(receiver.url, mode="async")
    environment.roll_back()
    async with web_api(environment, served) as session:
        async with session.post("accounts", json={"name": "Ghost"}) as response:
            body = await response.json()
        assert (response.status, body["error"]["code"]) == (400, "0x80040265")
        await environment.until_settled()
        assert environment.rows("account") == {}
        assert [(one.context["Mode"], one.attributes["name"]) for one in receiver.received] == [(0, "Ghost")]
        async with session.post("accounts", json={"name": "Alder"}) as response:
            assert response.status == 204
    assert [row["name"] for row in environment.rows("account").values()] == ["Alder"]


async def test_a_changeset_raises_nothing_when_it_fails(
    environment: DynamicsEnvironment, served: Served, receiver: Receiver
) -> None:
    environment.register_webhook(receiver.url)
    targets = {"Targets": [{"name": "A"}, {"name": "x" * 200}]}
    async with web_api(environment, served) as session:
        async with session.post("accounts/Microsoft.Dynamics.CRM.CreateMultiple", json=targets) as response:
            assert response.status == 400
        async with session.post(
            "accounts/Microsoft.Dynamics.CRM.CreateMultiple", json={"Targets": targets["Targets"][:1]}
        ) as response:
            assert response.status == 200
    await environment.until_settled()
    assert [one.attributes["name"] for one in receiver.received] == ["A"]


async def test_deliveries_run_at_the_same_time(
    environment: DynamicsEnvironment, served: Served, receiver: Receiver
) -> None:
    receiver.gate.clear()
    both = asyncio.Event()
    receiver.on_receipt = lambda: both.set() if len(receiver.received) == 2 else None
    environment.register_webhook(receiver.url)
    for name in ("A", "B"):
        environment.create("account", {"name": name})
    await asyncio.wait_for(both.wait(), 5)
    assert not environment.settled
    receiver.gate.set()
    await environment.until_settled()


async def arrivals(seed: int, **knobs: Any) -> tuple[list[str], list[str], DynamicsEnvironment]:
    """Names in the order they were sent out, and in the order they were to be sent."""
    environment = DynamicsEnvironment(seed=seed)
    for name, value in knobs.items():
        setattr(environment, name, value)
    async with receiving() as receiver:
        environment.register_webhook(receiver.url)
        names = [f"N{number:02d}" for number in range(20)]
        for name in names:
            environment.create("account", {"name": name})
        async with serve_dynamics(environment):
            await environment.until_settled()
        return [one.attributes["name"] for one in receiver.received], names, environment


async def test_duplicates_and_losses_come_as_ordered() -> None:
    got, names, environment = await arrivals(1, duplicate_every=5, drop_every=4)
    lost = names[3::4]
    twice = [name for name in names[4::5] if name not in lost]
    assert sorted(got) == sorted([name for name in names if name not in lost] + twice)
    assert len(environment.failed()) == len(lost)


async def test_shuffling_changes_the_order_and_loses_nothing() -> None:
    got, names, _ = await arrivals(1, shuffle=True)
    assert sorted(got) == names
    assert got != names


def test_the_same_seed_arranges_the_same_disorder() -> None:
    def arranged(seed: int) -> list[tuple[str, int, float]]:
        environment = DynamicsEnvironment(seed=seed)
        environment.shuffle, environment.delay, environment.duplicate_every = True, 1.0, 3
        environment.register_webhook("http://localhost/nobody")
        for number in range(10):
            environment.create("account", {"name": f"N{number}"})
        postings = [posting for outgoing in environment.outbox for posting in outgoing.asynchronous]
        return [(one.posting.record_id, one.copies, one.delay) for one in environment.arrange(postings)]

    assert arranged(2) == arranged(2)
    assert [one[2] for one in arranged(2)] != [one[2] for one in arranged(3)]
    assert all(0 <= delay <= 1 for _, _, delay in arranged(2))
