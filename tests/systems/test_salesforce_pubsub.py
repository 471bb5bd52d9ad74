"""The Pub/Sub transport against the simulated API: in order, nothing left out, never past a position that is lost."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import orjson
import pytest

from isthmus.codecs.pubsub import pubsub_api_pb2 as api
from isthmus.config.errors import AuthError, PermanentError, PlatformError, ReplayLost, TransientError
from isthmus.config.mapping import load_mappings
from isthmus.simulators.dynamics.certificates import server_context
from isthmus.simulators.salesforce import Field, SalesforceOrg, serve_salesforce
from isthmus.simulators.salesforce.pubsub import PubSub, serve_pubsub
from isthmus.simulators.salesforce.pubsub_refusals import CUT, NO_SCHEMA, NO_TOPIC, QUOTA, UNAUTHENTICATED, Refusal
from isthmus.simulators.salesforce.tell import Told, tell
from isthmus.systems.http import Token
from isthmus.systems.protocol import Delivery
from isthmus.systems.salesforce.adapter import Salesforce, SalesforceConfig
from isthmus.systems.salesforce.position import position
from isthmus.systems.salesforce.pubsub import Schemas
from isthmus.systems.salesforce.pubsub_errors import PREFIX, pubsub_error
from isthmus.systems.salesforce.pubsub_session import TOP_UP, WINDOW, PubSubSession, read_up_to

ALL = "/data/ChangeEvents"
# What is left of any refusal where the call ended while it was written to: grpc.aio's own status, and no trailers.
UNSAID = Refusal(grpc.StatusCode.INTERNAL, "", "Internal error from Core")


@dataclass(frozen=True)
class World:
    """An org, its Pub/Sub API, and an adapter to it."""

    org: SalesforceOrg
    server: PubSub
    system: Salesforce

    def accounts(self, count: int) -> list[str]:
        return [self.org.create("Account", {"Name": f"N{number}"}) for number in range(count)]


@asynccontextmanager
async def joined(org: SalesforceOrg, **changed: Any) -> AsyncIterator[World]:
    async with serve_salesforce(org) as url, serve_pubsub(org, keepalive=0.3) as server:
        config = SalesforceConfig(url, org.client_id, org.client_secret, pubsub_url=server.url)
        system = Salesforce(replace(config, **changed), load_mappings().objects("salesforce"))
        await system.open()
        try:
            yield World(org, server, system)
        finally:
            await system.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with joined(SalesforceOrg(seed=7)) as one:
        yield one


@asynccontextmanager
async def listening(world: World, told: str | None = "-2") -> AsyncIterator[AsyncIterator[Delivery]]:
    async with asyncio.timeout(20), aclosing(world.system.changes(told)) as changes:  # type: ignore[type-var]
        yield changes


async def take(changes: AsyncIterator[Delivery], count: int) -> list[Delivery]:
    """The next so many that tell of something."""
    taken: list[Delivery] = []
    async for delivery in changes:
        taken += [delivery] if delivery.raw else []
        if len(taken) == count:
            break
    return taken


def ids(taken: list[Delivery]) -> list[str]:
    return [change.record_id for delivery in taken for change in delivery.changes]


async def until(holds: Callable[[], object]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_position_names_its_transport_and_goes_on_after_it(world: World) -> None:
    accounts = world.accounts(3)
    async with listening(world) as changes:
        (first,) = await take(changes, 1)
    replay_id = orjson.loads(first.raw)["replayId"]
    assert position(first.position, "pubsub", [ALL]).places == {ALL: replay_id}
    async with listening(world, first.position) as changes:
        assert ids(await take(changes, 2)) == accounts[1:]


async def test_what_happens_while_we_listen_comes_at_once(world: World) -> None:
    async with listening(world, None) as changes:
        listener = asyncio.create_task(take(changes, 1))
        await until(lambda: world.server.subscribed)
        (account,) = world.accounts(1)
        assert ids(await listener) == [account]


async def test_from_now_on_leaves_out_what_was_before(world: World) -> None:
    world.accounts(2)
    async with listening(world, None) as changes:
        quiet = await anext(changes)
        (account,) = world.accounts(1)
        assert ids(await take(changes, 1)) == [account]
    assert quiet.changes == ()


async def test_a_backlog_comes_whole_and_in_order_by_one_subscription(world: World) -> None:
    world.org.duplicate_every = 7
    accounts = world.accounts(600)
    seen: dict[str, None] = {}
    async with listening(world) as changes:
        async for delivery in changes:
            seen.update(dict.fromkeys(change.record_id for change in delivery.changes))
            if len(seen) == len(accounts):
                break
    assert list(seen) == accounts
    assert world.server.subscribed == 1
    assert all(0 < request.num_requested <= WINDOW for request in world.server.requests)


async def test_more_is_asked_for_before_what_was_asked_for_runs_out(world: World) -> None:
    world.accounts(WINDOW - TOP_UP)
    async with listening(world) as changes:
        await take(changes, WINDOW - TOP_UP)
        await until(lambda: len(world.server.requests) > 1)
    assert [request.num_requested for request in world.server.requests] == [WINDOW, WINDOW - TOP_UP]


async def test_a_consumer_that_is_slow_is_not_flooded(world: World) -> None:
    world.accounts(10 * WINDOW)
    async with listening(world) as changes:
        await take(changes, 1)
        await until(lambda: len(world.server.requests) >= 2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(until(lambda: len(world.server.requests) > 3), 0.5)
        assert len(ids(await take(changes, 10 * WINDOW - 1))) == 10 * WINDOW - 1


async def cut(world: World) -> None:
    world.server.cut()


async def lose(world: World) -> None:
    world.server.lose_next()


async def expire(world: World) -> None:
    world.org.expire_tokens()


async def refuse(world: World) -> None:
    world.server.refuse_next("Subscribe", CUT, CUT)


@pytest.mark.parametrize("trouble", [cut, lose, expire, refuse])
async def test_a_session_lost_loses_no_change(world: World, trouble: Callable[[World], Awaitable[None]]) -> None:
    accounts = world.accounts(2)
    async with listening(world) as changes:
        await take(changes, 2)
        for _ in range(2):
            await trouble(world)
            accounts += world.accounts(2)
            assert ids(await take(changes, 2)) == accounts[-2:]
    assert world.server.subscribed >= 3


async def test_a_refused_token_is_renewed_once_and_any_other_loss_keeps_it(world: World) -> None:
    world.accounts(1)
    async with listening(world) as changes:
        await take(changes, 1)
        tokens = set(world.org.tokens)
        world.server.cut()
        world.accounts(1)
        await take(changes, 1)
        assert world.org.tokens == tokens
        world.org.expire_tokens()
        world.accounts(1)
        await take(changes, 1)
        assert len(world.org.tokens) == 1


async def test_a_token_refused_twice_in_a_row_is_the_callers(world: World) -> None:
    world.server.refuse_next("Subscribe", UNAUTHENTICATED, UNAUTHENTICATED)
    async with listening(world) as changes:
        with pytest.raises(AuthError):
            await anext(changes)


@pytest.mark.parametrize("unsaid", [0, 2])
async def test_a_replay_id_that_the_org_has_forgotten_is_healed_loudly(world: World, unsaid: int) -> None:
    world.accounts(1)
    async with listening(world) as changes:
        (first,) = await take(changes, 1)
    world.accounts(1)
    world.org.expire_replay()
    world.server.refuse_next("Subscribe", *[UNSAID] * unsaid)
    async with listening(world, first.position) as changes:
        healing = await anext(changes)
    assert "replayid.corrupted" in (healing.alert or "")
    assert len(healing.reads) == 2


async def test_a_replay_id_forgotten_while_we_were_away_is_healed_too(world: World) -> None:
    world.accounts(1)
    async with listening(world) as changes:
        await take(changes, 1)
        world.server.silent = True
        world.accounts(1)
        world.org.expire_replay()
        world.server.cut()
        world.server.silent = False
        async with asyncio.timeout(20):
            while not (healing := await anext(changes)).reads:
                pass
    assert healing.alert
    assert len(healing.reads) == 2


async def test_a_replay_id_of_another_org_stops_the_stream(world: World) -> None:
    foreign = base64.b64encode(b"\x00" * 7 + b"\x05\x00\x00").decode()
    async with listening(world, f'pubsub:{{"{ALL}":"{foreign}"}}') as changes:
        with pytest.raises(ReplayLost):
            await anext(changes)


async def test_a_position_of_the_other_transport_stops_the_stream(world: World) -> None:
    world.accounts(1)
    with pytest.raises(ReplayLost) as caught:
        async with listening(world, "1002") as changes:
            await anext(changes)
    assert caught.value.code == "OTHER_TRANSPORT"


async def test_a_quiet_channel_moves_on_past_what_it_does_not_carry() -> None:
    async with joined(SalesforceOrg(seed=7), channels=("/data/ContactChangeEvent",)) as world:
        contact = world.org.create("Contact", {"LastName": "Alder"})
        async with listening(world) as changes:
            (first,) = await take(changes, 1)
            world.accounts(1)
            moved = await anext(changes)
            while moved.position == first.position:
                moved = await anext(changes)
        assert (ids([first]), moved.changes, moved.raw) == ([contact], (), b"")
        world.org.expire_replay()
        later = world.org.create("Contact", {"LastName": "Birch"})
        async with listening(world, moved.position) as changes:
            assert ids(await take(changes, 1)) == [later]


async def test_a_schema_is_fetched_once_and_a_new_one_when_the_object_has_changed(world: World) -> None:
    world.accounts(2)
    async with listening(world) as changes:
        await take(changes, 2)
        world.server.cut()
        world.org.add_field("Account", Field("Early__c"))
        account = world.org.objects["Account"]
        world.org.objects["Account"] = replace(account, fields={"Early__c": Field("Early__c"), **account.fields})
        world.org.create("Account", {"Name": "Later", "Phone": "1", "Early__c": "new"})
        (later,) = await take(changes, 1)
    (change,) = later.changes
    assert (change.fields["Name"], change.fields["Phone"], change.fields["Early__c"]) == ("Later", "1", "new")
    assert len(world.server.asked_schemas) == len(set(world.server.asked_schemas)) == 2


async def test_an_event_that_cannot_be_decoded_keeps_its_original_and_the_next_comes(world: World) -> None:
    accounts = world.accounts(2)
    world.server.refuse_next("GetSchema", NO_SCHEMA)
    async with listening(world) as changes:
        bad, good = await take(changes, 2)
    assert bad.error is not None
    assert bad.changes == ()
    assert bad.position != good.position
    original = orjson.loads(bad.raw)
    assert original["schemaId"] in str(bad.error)
    assert base64.b64decode(original["payload"])
    assert ids([good]) == accounts[1:]


async def test_a_schema_that_cannot_be_had_now_is_waited_for(world: World) -> None:
    accounts = world.accounts(2)
    world.server.refuse_next("GetSchema", CUT)
    async with listening(world) as changes:
        assert ids(await take(changes, 2)) == accounts


async def test_silence_for_too_long_ends_the_session(world: World) -> None:
    world.server.silent = True
    world.org.tokens.add("tok")
    token = Token("http://org", "tok", tenant=world.org.org_id)
    session = PubSubSession(token, world.server.url, position(None, "pubsub", (ALL,)), Schemas(), patience=0.3)
    await session.open()
    try:
        async with asyncio.timeout(10):
            with pytest.raises(TransientError, match="silent"):
                await session.next()
    finally:
        await session.close()


async def test_a_channel_that_is_not_there_stops_the_stream() -> None:
    async with joined(SalesforceOrg(seed=7), channels=("/data/Nonsense__chn",)) as world, listening(world) as changes:
        with pytest.raises(PermanentError) as caught:
            await anext(changes)
    assert caught.value.code == "NO_CHANNEL"


async def test_several_channels_are_one_stream_and_each_goes_on_from_its_own_place() -> None:
    channels = ("/data/AccountChangeEvent", "/data/ContactChangeEvent")
    async with joined(SalesforceOrg(seed=7), channels=channels) as world:
        world.accounts(2)
        contact = world.org.create("Contact", {"LastName": "Alder"})
        async with listening(world) as changes:
            taken = await take(changes, 3)
            assert contact in ids(taken)
            world.server.cut()
            more = [*world.accounts(1), world.org.create("Contact", {"LastName": "Birch"})]
            assert sorted(ids(await take(changes, 2))) == sorted(more)


async def test_an_enriched_event_that_was_cut_in_two_is_lost_in_neither_half() -> None:
    """Its records share a replay id; the first of them comes with the last event that was asked for (§1.13)."""
    channel = "/data/Sales__chn"
    async with joined(SalesforceOrg(seed=7), channels=(channel,)) as world:
        world.org.carry(channel, {"Account": ("Industry",)})
        accounts = world.accounts(WINDOW - 1)
        tell(world.org, Told("Account", "UPDATE", accounts[:3], {"Phone": "1"}))
        async with listening(world) as changes:
            await take(changes, WINDOW)
            world.server.lose_next()
            rest = ids(await take(changes, 3))
    assert set(rest) == set(accounts[:3])


async def test_a_server_that_went_away_and_came_back_is_found_again() -> None:
    org = SalesforceOrg(seed=7)
    async with serve_salesforce(org) as url:
        async with serve_pubsub(org) as server:
            port = int(server.url.rpartition(":")[2])
            config = SalesforceConfig(url, org.client_id, org.client_secret, pubsub_url=server.url)
            system = Salesforce(config, {})
            await system.open()
            org.create("Account", {"Name": "Alder"})
            changes = system.changes("-2")
            await anext(changes)
        later = org.create("Account", {"Name": "Birch"})
        async with serve_pubsub(org, port=port), asyncio.timeout(20):
            assert ids([await anext(changes)]) == [later]
            await changes.aclose()  # type: ignore[attr-defined]
            await system.close()


async def test_leaving_the_stream_leaves_nothing_running(world: World) -> None:
    world.accounts(1)
    before = asyncio.all_tasks()
    async with listening(world) as changes:
        await take(changes, 1)
    left = {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before}  # type: ignore[union-attr]
    assert not {name for name in left if name.startswith(("PubSubSession", "Subscription.answer"))}


@pytest.mark.parametrize(
    ("events", "latest", "pending", "reached"),
    [
        ((), b"9", 1, "OQ=="),
        ((b"7",), b"9", 1, "OQ=="),
        ((b"7", b"9"), b"9", 1, None),
        ((), b"9", 0, None),
        ((b"7",), b"9", 0, None),
        ((), b"", 1, None),
    ],
)
def test_the_latest_replay_id_counts_only_while_more_was_asked_for(
    events: tuple[bytes, ...], latest: bytes, pending: int, reached: str | None
) -> None:
    """Else events may wait that it has passed."""
    told = [api.ConsumerEvent(replay_id=one) for one in events]
    answer = api.FetchResponse(events=told, latest_replay_id=latest, pending_num_requested=pending)
    assert read_up_to(answer) == reached


async def test_the_real_address_speaks_tls(tmp_path: Path) -> None:
    """In a process of its own, because gRPC reads what to trust only once."""
    _, authority = server_context(tmp_path, "localhost")
    server = grpc.aio.server()
    org = SalesforceOrg(seed=7)
    org.tokens.add("tok")
    server.add_generic_rpc_handlers((PubSub(org).handlers(),))
    pair = tuple((tmp_path / name).read_bytes() for name in ("server.key", "server.pem"))
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials((pair,)))
    await server.start()
    asked = f"Calls('localhost:{port}', Token('http://org', 'tok', tenant='{org.org_id}')).topic('{ALL}')"
    program = f"""
import asyncio
from isthmus.systems.http import Token
from isthmus.systems.salesforce.pubsub import Calls
async def main(): print((await {asked}).topic_name)
asyncio.run(main())
"""
    trusting = {**os.environ, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(authority)}
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=trusting, stdout=pipe, stderr=pipe
    )
    async with asyncio.timeout(60):
        out, err = await running.communicate()
    await server.stop(grace=None)
    assert out.decode().strip() == ALL, err.decode()


# -- what failures mean


@pytest.mark.parametrize(
    ("status", "code", "kind", "named"),
    [
        ("INVALID_ARGUMENT", "subscription.fetch.replayid.corrupted", ReplayLost, "REPLAY_LOST"),
        ("INVALID_ARGUMENT", "subscription.fetch.replayid.validation.failed", ReplayLost, "REPLAY_LOST"),
        ("UNAUTHENTICATED", "service.auth.error", AuthError, "AUTH"),
        ("INVALID_ARGUMENT", "service.auth.headers.invalid", AuthError, "AUTH"),
        ("INTERNAL", "service.unavailable", TransientError, "SESSION"),
        ("INVALID_ARGUMENT", "subscription.fetch.replay.repeated", TransientError, "SESSION"),
        ("RESOURCE_EXHAUSTED", "subscription.limit.exceeded", TransientError, "QUOTA"),
        ("RESOURCE_EXHAUSTED", "concurrent.client.limit.exceeded", TransientError, "CROWD"),
        ("NOT_FOUND", "topic.not.found", PermanentError, "NO_CHANNEL"),
        ("PERMISSION_DENIED", "subscription.topic.cannot.subscribe", PermanentError, "SUBSCRIBE"),
        ("UNKNOWN", "service.tenant.license", PermanentError, "PERMANENT"),
        ("PERMISSION_DENIED", "something.new", PermanentError, "PERMANENT"),
        ("UNAVAILABLE", "", TransientError, "NETWORK"),
        ("UNAUTHENTICATED", "", AuthError, "AUTH"),
        ("DEADLINE_EXCEEDED", "", TransientError, "NETWORK"),
        # What grpc.aio makes of a call that ended while it was written to.
        ("INTERNAL", "", TransientError, "NETWORK"),
    ],
)
def test_the_error_code_says_what_a_failure_means(
    status: str, code: str, kind: type[PlatformError], named: str
) -> None:
    fault = pubsub_error(status, PREFIX + code if code else "", "told. rpcId: 7")
    assert (type(fault), fault.code) == (kind, named)
    assert "rpcId: 7" in str(fault)
    assert (fault.retry_after is not None) == (named in ("QUOTA", "CROWD"))
    assert fault.hint or kind is TransientError or code in ("", "something.new")


def test_a_forgotten_replay_id_is_known_by_its_text_where_the_code_is_missing() -> None:
    fault = pubsub_error("INVALID_ARGUMENT", "", "The Replay ID validation failed. Ensure that it is valid. rpcId: 7")
    assert isinstance(fault, ReplayLost)


# -- check


async def test_check_finds_what_a_channel_would_leave_out(world: World) -> None:
    assert [finding for finding in await world.system.check() if not finding.ok] == []
    world.org.unseen.add("Contact")
    (bad,) = [finding for finding in await world.system.check() if not finding.ok]
    assert bad.name == "change events of Contact"
    assert "silently" in bad.message
    assert bad.hint


async def test_check_finds_an_object_that_no_channel_carries() -> None:
    async with joined(SalesforceOrg(seed=7), channels=("/data/AccountChangeEvent",)) as world:
        (bad,) = [finding for finding in await world.system.check() if not finding.ok]
    assert (bad.name, bad.hint) == ("change events of Contact", "add /data/ContactChangeEvent")


@pytest.mark.parametrize("refusal", [NO_TOPIC, QUOTA, CUT])
async def test_check_finds_a_channel_that_takes_no_subscription(world: World, refusal: Any) -> None:
    world.server.refuse_next("GetTopic", refusal)
    (bad,) = [finding for finding in await world.system.check() if not finding.ok]
    assert bad.name == f"change events {ALL}"


async def test_check_of_an_address_where_nobody_is() -> None:
    async with joined(SalesforceOrg(seed=7), pubsub_url="grpc://127.0.0.1:1") as world:
        (bad,) = [finding for finding in await world.system.check() if not finding.ok]
    assert "UNAVAILABLE" in bad.message
