"""What goes over the wire to Dataverse: changesets, whose answer is whose, by which ids a write is found again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
import pytest
from aiohttp import web

from isthmus.codecs.dynamics_batch import BatchRequest, decode_requests
from isthmus.config.errors import ConflictError, PermanentError, TransientError
from isthmus.config.mapping import load_mappings
from isthmus.simulators.dynamics import DynamicsEnvironment, serve_dynamics, server
from isthmus.simulators.dynamics.calls import Call
from isthmus.systems.dynamics.adapter import Dynamics, DynamicsConfig
from isthmus.systems.dynamics.requests import CORRELATION, REQUEST, traced
from isthmus.systems.dynamics.writes import BULK_AT_LEAST
from isthmus.systems.protocol import Reference, Write, Written

OBJECTS = load_mappings().objects("dynamics")
PARENT = {"parentcustomerid_account": Reference("account", "a")}


@pytest.fixture
def environment() -> DynamicsEnvironment:
    return DynamicsEnvironment(seed=7)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """What came in at the simulator's door; everything is done as ever."""
    seen: list[Call] = []
    carry_out = server._Edge._within_limits

    async def watched(self: Any, call: Call) -> Any:
        seen.append(call)
        return await carry_out(self, call)

    monkeypatch.setattr(server._Edge, "_within_limits", watched)
    return seen


@pytest.fixture
async def dynamics(environment: DynamicsEnvironment, calls: list[Call]) -> AsyncIterator[Dynamics]:
    async with serve_dynamics(environment) as served:
        here = served.http_url
        config = DynamicsConfig(here, here, environment.tenant, environment.client_id, environment.client_secret)
        system = Dynamics(config, OBJECTS)
        await system.open()
        yield system
        await system.close()


def account(key: str, correlation: str = "") -> Write:
    return Write("account", key, None, {"name": key}, correlation=correlation)


def contact(key: str, correlation: str = "", **fields: Any) -> Write:
    return Write("contact", key, None, {"lastname": key, **fields}, references=PARENT, correlation=correlation)


def changesets(call: Call) -> list[tuple[BatchRequest, ...]]:
    """The changesets of a batch; a request outside of one is a fault."""
    found = decode_requests(call.headers["content-type"], call.body)
    assert all(isinstance(one, tuple) for one in found), found
    return [one for one in found if isinstance(one, tuple)]


@contextlib.asynccontextmanager
async def answering(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """A server of the test's own, for what no simulator says."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


# -- changesets


async def test_each_write_of_a_batch_is_a_changeset_of_its_own(dynamics: Dynamics, calls: list[Call]) -> None:
    told = await dynamics.write([account("k1"), account("k2"), account("k3")])
    assert all(isinstance(one, Written) for one in told)
    (call,) = calls
    assert call.path == "$batch"
    assert call.headers["prefer"] == "odata.continue-on-error"
    assert [len(one) for one in changesets(call)] == [1, 1, 1]


async def test_one_refusal_throttle_or_duplicate_in_a_batch_hurts_no_neighbour(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    """A condition that no longer holds, a limit, and a value that is too long, between writes that are good."""
    known = environment.create("account", {"name": "old"})
    (row,) = await dynamics.read("account", [known])
    environment.update("account", known, {"name": "newer"})
    environment.fail_next(1, 429, "0x80072322", retry_after=7)
    writes = [
        account("throttled"),
        account("good"),
        Write("account", "stale", known, {"name": "stale"}, row.version),
        Write("account", "long", None, {"name": "long", "telephone1": "x" * 60}),
        account("too"),
    ]
    throttled, good, stale, long, too = await dynamics.write(writes)
    assert isinstance(throttled, TransientError)
    assert throttled.retry_after == 7.0
    assert isinstance(stale, ConflictError)
    assert isinstance(long, PermanentError)
    assert isinstance(good, Written)
    assert isinstance(too, Written)
    assert {row["name"] for row in environment.rows("account").values()} == {"newer", "good", "too"}


async def test_a_row_and_what_points_to_it_are_one_changeset(
    dynamics: Dynamics, environment: DynamicsEnvironment, calls: list[Call]
) -> None:
    told = await dynamics.write([contact("c1"), account("z"), account("a"), contact("c2")])
    rows = [one.record_id for one in told if isinstance(one, Written)]
    assert len(rows) == 4
    family, alone = calls
    assert [[one.content_id for one in some] for some in changesets(family)] == [["1", "2", "3"]]
    assert alone.method == "PATCH"
    parents = {row["parentcustomerid"] for row in environment.rows("contact").values()}
    assert parents == {rows[2]}


async def test_a_family_is_never_half_there_while_its_limit_is_kept(
    dynamics: Dynamics, environment: DynamicsEnvironment, calls: list[Call]
) -> None:
    environment.fail_next(1, 429, "0x80072321", retry_after=9)
    told = await dynamics.write([account("a"), contact("c1")])
    assert [(one.code, one.retry_after) for one in told if isinstance(one, TransientError)] == [("0x80072321", 9.0)] * 2
    assert len(calls) == 1, "nobody is asked again at once"
    assert not environment.rows("account")


async def test_one_bad_write_of_a_family_costs_the_others_nothing(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    parent, bad, good = await dynamics.write([account("a"), contact("c1", telephone1="x" * 60), contact("c2")])
    assert isinstance(bad, PermanentError)
    assert isinstance(parent, Written)
    assert isinstance(good, Written)
    assert [row["lastname"] for row in environment.rows("contact").values()] == ["c2"]
    assert environment.row("contact", good.record_id)["parentcustomerid"] == parent.record_id


async def test_many_families_leave_the_bulk_actions_their_work(dynamics: Dynamics, calls: list[Call]) -> None:
    writes = [account("a"), *(account(f"k{n}") for n in range(BULK_AT_LEAST)), contact("c1")]
    assert all(isinstance(one, Written) for one in await dynamics.write(writes))
    assert any(call.path.endswith("UpsertMultiple") for call in calls)


async def test_rows_that_are_not_told_are_read_back_by_their_keys(
    dynamics: Dynamics, environment: DynamicsEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a changeset gives no representation, only the key comes back, and nobody could say which row it is."""
    carry_out = server._Edge._within_limits

    async def minimal(self: Any, call: Call) -> Any:
        return await carry_out(self, replace(call, body=call.body.replace(b"return=representation", b"return=minimal")))

    monkeypatch.setattr(server._Edge, "_within_limits", minimal)
    told = await dynamics.write([account("k1"), account("k2")])
    rows = environment.rows("account")
    assert [rows[one.record_id]["name"] for one in told if isinstance(one, Written)] == ["k1", "k2"]
    assert [one.version for one in told if isinstance(one, Written)] == [
        f"{rows[one.record_id]['versionnumber']:020d}" for one in told if isinstance(one, Written)
    ]


@pytest.mark.parametrize("numbers", [("2", "1"), (None, None)])
async def test_answers_of_a_changeset_go_by_their_numbers_else_by_their_place(
    environment: DynamicsEnvironment, numbers: tuple[str | None, ...]
) -> None:
    async def answer(request: web.Request) -> web.Response:
        parts = [_part(int(number or place), number) for place, number in enumerate(numbers, 1)]
        inner = "".join(f"--inner\r\n{part}\r\n" for part in parts)
        text = f"--outer\r\nContent-Type: multipart/mixed; boundary=inner\r\n\r\n{inner}--inner--\r\n--outer--\r\n"
        return web.Response(body=text.encode(), headers={"Content-Type": "multipart/mixed; boundary=outer"})

    async with serve_dynamics(environment) as served, answering(answer) as here:
        known = (environment.tenant, environment.client_id, environment.client_secret)
        system = Dynamics(DynamicsConfig(here, served.http_url, *known), OBJECTS)
        await system.open()
        told = await system.write([account("a"), contact("c1")])
        await system.close()
    assert [one.record_id for one in told if isinstance(one, Written)] == [str(UUID(int=1)), str(UUID(int=2))]


def _part(number: int, content_id: str | None) -> str:
    named = f"Content-ID: {content_id}\r\n" if content_id else ""
    row = f"accounts({UUID(int=number)})"
    head = f"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n{named}"
    return f"{head}\r\nHTTP/1.1 204 No Content\r\nOData-EntityId: https://x/api/data/v9.2/{row}\r\n\r\n\r\n"


# -- ids


def test_the_ids_come_of_the_change_and_are_the_same_at_every_repeat() -> None:
    one, again, other = account("k1", "change 1"), account("k1", "change 1"), account("k1", "change 2")
    assert traced([one]) == traced([again])
    assert traced([one])[CORRELATION] != traced([other])[CORRELATION]
    assert traced([one])[CORRELATION] == traced([account("k2", "change 1")])[CORRELATION]
    assert traced([one])[REQUEST] != traced([account("k2", "change 1")])[REQUEST]
    assert traced([replace(one, correlation="")]) == {}
    own = "11111111-2222-4333-8444-555555555555"
    assert UUID(traced([account("k1", own)])[CORRELATION]) != UUID(own), "the platform counts its own chains by that"


async def test_every_write_bears_its_changes_id_and_our_tag(dynamics: Dynamics, calls: list[Call]) -> None:
    await dynamics.write([account("k1", "change 1"), account("k2", "change 2")])
    await dynamics.write([account("k3", "change 3")])
    await dynamics.write([account(f"k{n}", "change 4") for n in range(BULK_AT_LEAST)])
    batch, single = calls[:2]
    bulk = next(call for call in calls if call.path.endswith("UpsertMultiple"))
    for (one,), change in zip(changesets(batch), ("change 1", "change 2"), strict=True):
        assert one.headers[CORRELATION] == traced([account("", change)])[CORRELATION]
        assert "tag=isthmus" in one.target
    assert single.headers[CORRELATION] == traced([account("", "change 3")])[CORRELATION]
    assert bulk.headers[CORRELATION] == traced([account("", "change 4")])[CORRELATION]
    assert {call.query.get("tag") for call in (single, bulk)} == {"isthmus"}
    assert UUID(batch.headers[CORRELATION])
    assert UUID(batch.headers[REQUEST])


async def test_what_our_write_raises_bears_the_same_id(dynamics: Dynamics, environment: DynamicsEnvironment) -> None:
    heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    async def hear(request: web.Request) -> web.Response:
        heard.put_nowait((request.headers[CORRELATION], orjson.loads(await request.read())))
        return web.Response()

    async with answering(hear) as here:
        environment.register_webhook(f"{here}/hook")
        await dynamics.write([account("k1", "change 1"), account("k2", "change 1")])
        for _ in range(2):
            header, context = await heard.get()
            assert header == context["CorrelationId"] == traced([account("", "change 1")])[CORRELATION]
