"""The change stream over sessions that come and go: in order, nothing left out, never past a position that is lost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from isthmus.config.errors import AuthError, PermanentError, PlatformError, ReplayLost
from isthmus.systems.protocol import Delivery
from isthmus.systems.salesforce import stream
from isthmus.systems.salesforce.adapter import Salesforce, SalesforceConfig
from isthmus.systems.salesforce.cometd import CometdSession
from isthmus.systems.salesforce.position import position

sys.path.insert(0, str(Path(__file__).parent))

from bayeux import CUT, LOST_COOKIES, PAGE, UNKNOWN_CLIENT, Bayeux, event, serving

REFUSED_TOKEN = {"successful": False, "error": "401::Authentication invalid", "advice": {"reconnect": "none"}}
INVALID_REPLAY = "400::The replayId {2} you provided was invalid.  Please provide a valid ID, -2 or -1."


@asynccontextmanager
async def salesforce(server: Bayeux, **changed: Any) -> AsyncIterator[Salesforce]:
    async with serving(server) as served:
        system = Salesforce(SalesforceConfig(served.url, "id", "hush", **changed), {})
        await system.open()
        try:
            yield system
        finally:
            await system.close()


async def take(system: Salesforce, count: int, after: str | None = "-2") -> list[Delivery]:
    """The next so many deliveries."""
    taken: list[Delivery] = []
    async with asyncio.timeout(20), aclosing(system.changes(after)) as changes:  # type: ignore[type-var]
        async for delivery in changes:
            taken.append(delivery)
            if len(taken) == count:
                return taken
    raise AssertionError("the stream ended")


def at(place: int) -> str:
    """The position after a replay id."""
    return f'cometd:{{"/data/ChangeEvents":"{place}"}}'


def place(delivery: Delivery) -> int:
    """The replay id that a delivery's position goes on after."""
    return int(position(delivery.position, "cometd", ["/data/ChangeEvents"]).places["/data/ChangeEvents"])


def asked(server: Bayeux) -> list[int]:
    """The positions of all subscriptions."""
    told = [message for message in server.told if message["channel"] == "/meta/subscribe"]
    return [message["ext"]["replay"]["/data/ChangeEvents"] for message in told]


def numbers(taken: list[Delivery]) -> list[object]:
    return [change.fields["n"] for delivery in taken for change in delivery.changes]


async def test_deliveries_carry_the_position_after_them() -> None:
    async with salesforce(Bayeux([event(1), event(2)], [event(5)])) as system:
        taken = await take(system, 3)
    assert [place(delivery) for delivery in taken] == [1, 2, 5]
    assert numbers(taken) == [1, 2, 5]


TROUBLE = [CUT, UNKNOWN_CLIENT, REFUSED_TOKEN, LOST_COOKIES, PAGE, [{"channel": "/meta/disconnect"}]]


@pytest.mark.parametrize("trouble", TROUBLE)
async def test_a_lost_session_goes_on_after_the_last_delivery(trouble: object) -> None:
    server = Bayeux([event(1), event(2)], trouble, [event(3)])  # type: ignore[arg-type]
    async with salesforce(server) as system:
        taken = await take(system, 3)
    assert numbers(taken) == [1, 2, 3]
    assert asked(server) == [-2, 2]


async def test_months_of_lost_sessions_lose_no_change_and_leave_nothing_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "REOPEN_SECONDS", 0.0)
    steps: list[Any] = []
    for number in range(1, 25):
        steps += [[event(number)], TROUBLE[number % len(TROUBLE)]]
    server = Bayeux(*steps)
    before = asyncio.all_tasks()
    async with salesforce(server) as system:
        assert numbers(await take(system, 24)) == list(range(1, 25))
    assert asked(server) == [-2, *range(1, 24)]
    assert server.count("/meta/handshake") == 24
    left = {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before}  # type: ignore[union-attr]
    assert not {name for name in left if "aiocometd" in name or "connect" in name.lower()}


async def test_cookies_lost_before_the_subscription_are_no_reason_to_stop() -> None:
    lost = {"successful": False, "error": LOST_COOKIES["error"]}
    async with salesforce(Bayeux([event(1)], subscriptions=[lost])) as system:
        assert numbers(await take(system, 1)) == [1]


async def test_a_session_that_was_quiet_for_long_is_proven_anew_and_finds_a_forgotten_replay_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise a position that fell out of retention would come to light only with the next loss (salesforce.md §1.5)."""
    monkeypatch.setattr(stream, "CometdSession", partial(CometdSession, proven=0.0))
    server = Bayeux([event(2)], [], [event(3)])
    server.subscriptions = [{}, {"successful": False, "error": INVALID_REPLAY}]
    async with salesforce(server) as system:
        _, healed = await take(system, 2)
    assert (healed.changes, place(healed)) == ((), -2)
    assert asked(server)[:2] == [-2, 2]


async def test_a_quiet_session_without_a_position_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CometdSession", partial(CometdSession, proven=0.0))
    server = Bayeux([], [], [event(3)])
    async with salesforce(server) as system:
        assert numbers(await take(system, 1, None)) == [3]
    assert asked(server) == [-1]


async def test_a_refused_token_is_renewed_and_any_other_loss_keeps_it() -> None:
    server = Bayeux([event(1)], UNKNOWN_CLIENT, [event(2)], REFUSED_TOKEN, [event(3)])
    async with salesforce(server) as system:
        await take(system, 3)
    assert server.bearers == {"Bearer tok1", "Bearer tok2"}
    assert server.logins == 2


async def test_a_position_that_was_never_advanced_is_sent_again() -> None:
    server = Bayeux(UNKNOWN_CLIENT, [event(43)])
    async with salesforce(server) as system:
        await take(system, 1, at(42))
    assert asked(server) == [42, 42]


async def test_a_bare_number_is_a_position_of_the_one_channel_there_used_to_be() -> None:
    server = Bayeux([event(43)])
    async with salesforce(server) as system:
        await take(system, 1, "42")
    assert asked(server) == [42]


async def test_no_position_means_from_now_on() -> None:
    server = Bayeux([event(1)])
    async with salesforce(server) as system:
        await take(system, 1, None)
    assert asked(server) == [-1]


async def test_a_replay_id_that_the_org_has_forgotten_stops_a_stream_that_does_not_know_what_it_had_heard() -> None:
    lost = {"successful": False, "error": INVALID_REPLAY}
    async with salesforce(Bayeux(subscriptions=[lost])) as system:
        with pytest.raises(ReplayLost):
            await take(system, 1, at(2))


async def test_a_replay_id_forgotten_while_we_were_away_is_healed() -> None:
    server = Bayeux([event(2)], UNKNOWN_CLIENT, [event(3)])
    server.subscriptions = [{}, {"successful": False, "error": INVALID_REPLAY}]
    async with salesforce(server) as system:
        _, healed = await take(system, 2)
    assert (healed.changes, place(healed)) == ((), -2)
    assert asked(server)[:2] == [-2, 2]


async def test_a_channel_that_is_not_there_stops_the_stream() -> None:
    refusal = {"successful": False, "error": "400::The channel you requested to subscribe to doesn't exist {x}"}
    async with salesforce(Bayeux(subscriptions=[refusal])) as system:
        with pytest.raises(PermanentError):
            await take(system, 1)


async def test_a_token_refused_twice_in_a_row_is_the_callers() -> None:
    refusal = {"successful": False, "error": "401::Authentication invalid"}
    server = Bayeux(subscriptions=[refusal, refusal])
    async with salesforce(server) as system:
        with pytest.raises(AuthError):
            await take(system, 1)
    assert server.logins == 2


async def test_a_server_that_is_busy_is_waited_for() -> None:
    busy = {"successful": False, "error": "503::Server is too busy"}
    server = Bayeux([event(1)], subscriptions=[busy, busy])
    async with salesforce(server) as system:
        assert numbers(await take(system, 1)) == [1]


async def test_leaving_the_stream_says_goodbye() -> None:
    server = Bayeux([event(1)])
    async with salesforce(server) as system:
        await take(system, 1)
        assert server.count("/meta/disconnect") == 1


async def test_an_event_that_cannot_be_decoded_keeps_its_original_and_the_next_comes() -> None:
    broken = {"channel": "/data/ChangeEvents", "data": {"payload": {"n": 1}, "event": {"replayId": 7}}}
    async with salesforce(Bayeux([broken, event(8)])) as system:
        bad, good = await take(system, 2)
    assert bad.error is not None
    assert (bad.changes, place(bad)) == ((), 7)
    assert orjson.loads(bad.raw) == broken
    assert (good.error, place(good)) == (None, 8)


async def test_an_event_without_a_replay_id_keeps_the_position_before_it() -> None:
    nameless = {"channel": "/data/ChangeEvents", "data": {"payload": {}}}
    async with salesforce(Bayeux([nameless, event(5), nameless, event(6)])) as system:
        taken = await take(system, 4, at(4))
    assert [place(delivery) for delivery in taken] == [4, 5, 5, 6]


async def test_each_channel_goes_on_from_its_own_place() -> None:
    """A replay id means nothing to another channel (salesforce.md §1.5)."""
    channels = ("/data/AccountChangeEvent", "/data/Sales__chn")
    server = Bayeux(
        [
            {**event(7), "channel": channels[0]},
            {**event(3), "channel": channels[1]},
            {**event(8), "channel": channels[0]},
        ],
        UNKNOWN_CLIENT,
        [{**event(4), "channel": channels[1]}],
    )
    async with salesforce(server, channels=channels) as system:
        taken = await take(system, 4)
    assert numbers(taken) == [7, 3, 8, 4]
    replays = [m["ext"]["replay"] for m in server.told if m["channel"] == "/meta/subscribe"]
    assert replays == [{channels[0]: -2}, {channels[1]: -2}, {channels[0]: 8}, {channels[1]: -2}]


async def test_digits_beyond_a_double_are_kept() -> None:
    digits = "1234567890123456.78"
    server = Bayeux([event(1, Amount__c="DIGITS")])
    server.rewrite = lambda text: text.replace('"DIGITS"', digits)
    async with salesforce(server) as system:
        (delivery,) = await take(system, 1)
    assert delivery.changes[0].fields["Amount__c"] == digits
    assert f'"Amount__c":{digits}'.encode() in delivery.raw


async def test_compound_fields_come_under_the_names_of_mappings() -> None:
    one = event(1, BillingAddress={"City": "Ulm", "Street": None}, Credit_Limit__c=1000.0)
    async with salesforce(Bayeux([one])) as system:
        ((change,),) = [delivery.changes for delivery in await take(system, 1)]
    assert change.fields["BillingCity"] == "Ulm"
    assert type(change.fields["Credit_Limit__c"]) is int
    assert "BillingStreet" in change.cleared


async def test_the_secret_is_in_no_error_and_no_repr() -> None:
    config = SalesforceConfig("http://localhost:1", "id", "hush")
    system = Salesforce(config, {})
    with pytest.raises(PlatformError) as caught:
        await system.open()
    await system.close()
    assert "hush" not in f"{caught.value} {config!r}"
