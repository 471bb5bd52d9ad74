"""One CometD session: what it delivers, and everything that must end it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from isthmus.config.errors import AuthError, PermanentError, PlatformError, ReplayLost, TransientError
from isthmus.systems.http import Token
from isthmus.systems.salesforce.cometd import AHEAD, CometdSession, Ear
from isthmus.systems.salesforce.position import Position

sys.path.insert(0, str(Path(__file__).parent))

from bayeux import CUT, UNKNOWN_CLIENT, Bayeux, event, serving


def at(place: int) -> Position:
    return Position("cometd", {"/data/ChangeEvents": str(place)})


@asynccontextmanager
async def session(server: Bayeux, position: int = -2) -> AsyncIterator[CometdSession]:
    async with serving(server) as served:
        one = CometdSession(Token(served.url, "tok"), "60.0", at(position))
        try:
            await one.open()
            yield one
        finally:
            await one.close()


async def ends(one: CometdSession, kind: type[PlatformError]) -> PlatformError:
    """The fault that ends the session."""

    async def to_the_end() -> None:
        async with asyncio.timeout(10):
            while True:
                await one.next()

    with pytest.raises(PlatformError) as caught:
        await to_the_end()
    assert type(caught.value) is kind
    return caught.value


async def test_events_come_an_answer_at_a_time_and_quiet_answers_are_empty() -> None:
    async with session(Bayeux([event(1), event(2)], [], [event(3)])) as one:
        batches = [await one.next() for _ in range(3)]
    assert [[e.changes[0].fields["n"] for e in batch] for batch in batches] == [[1, 2], [], [3]]


async def test_the_position_is_sent_as_an_integer_and_every_request_bears_the_token() -> None:
    server = Bayeux()
    async with session(server, 37904280):
        pass
    (subscribe,) = [m for m in server.told if m["channel"] == "/meta/subscribe"]
    assert subscribe["ext"]["replay"] == {"/data/ChangeEvents": 37904280}
    assert server.bearers == {"Bearer tok"}
    assert server.told[0]["ext"] == {"replay": True}


async def test_closing_says_goodbye_and_logs_no_error(caplog: pytest.LogCaptureFixture) -> None:
    server = Bayeux()
    async with session(server), asyncio.timeout(10):
        await server.came("/meta/connect", 2)
    assert server.count("/meta/disconnect") == 1
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_an_unknown_client_ends_the_session_and_nothing_is_resubscribed() -> None:
    server = Bayeux([event(1)], dict(UNKNOWN_CLIENT))
    async with session(server) as one:
        assert len(await one.next()) == 1
        assert "Unknown client" in str(await ends(one, TransientError))
    assert (server.count("/meta/handshake"), server.count("/meta/subscribe")) == (1, 1)


async def test_a_lost_answer_ends_the_session_because_events_may_be_in_it() -> None:
    server = Bayeux([event(1)], CUT, [event(3)])
    async with session(server) as one:
        assert len(await one.next()) == 1
        await ends(one, TransientError)
    assert server.count("/meta/connect") == 3


async def test_events_that_came_before_the_fault_are_delivered_before_it() -> None:
    server = Bayeux([event(1)], [event(2)], dict(UNKNOWN_CLIENT))
    async with session(server) as one:
        assert len(await one.next()) == 1
        await server.came("/meta/connect", 4)
        assert len(await one.next()) == 1
        await ends(one, TransientError)


async def test_a_refused_token_is_an_auth_error() -> None:
    refused = {"successful": False, "error": "401::Authentication invalid", "advice": {"reconnect": "none"}}
    async with session(Bayeux(refused)) as one:
        await ends(one, AuthError)


async def test_a_busy_server_that_says_401_is_transient() -> None:
    busy = {"ext": {"sfdc": {"failureReason": "503::Server is too busy"}}}
    refused = {"successful": False, "error": "401::Authentication invalid", **busy}
    async with session(Bayeux(refused)) as one:
        await ends(one, TransientError)


async def test_the_server_may_end_the_session() -> None:
    async with session(Bayeux([{"channel": "/meta/disconnect"}])) as one:
        await ends(one, TransientError)


async def test_silence_for_twice_the_hold_ends_the_session() -> None:
    first = {"advice": {"interval": 0, "timeout": 100, "reconnect": "retry"}}
    async with session(Bayeux(first=first)) as one:
        await ends(one, TransientError)


async def test_an_interval_is_milliseconds() -> None:
    first = {"advice": {"interval": 200, "timeout": 110000, "reconnect": "retry"}}
    async with session(Bayeux([event(1)], first=first)) as one, asyncio.timeout(5):
        assert len(await one.next()) == 1


async def test_a_consumer_that_is_slow_is_not_flooded() -> None:
    ear = Ear({"/data/ChangeEvents": "-2"})
    for number in range(AHEAD):
        await ear.incoming([event(number)])
    third = asyncio.create_task(ear.incoming([event(AHEAD)]))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(third), 0.05)
    ear.heard.get_nowait()
    ear.room.release()
    await asyncio.wait_for(third, 5)
    assert ear.heard.qsize() == AHEAD


async def test_everything_comes_however_slowly_it_is_taken() -> None:
    server = Bayeux(*([event(n)] for n in range(1, 20)))
    async with session(server) as one, asyncio.timeout(10):
        await server.came("/meta/connect", AHEAD + 2)
        got = [(await one.next())[0].changes[0].fields["n"] for _ in range(19)]
    assert got == list(range(1, 20))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("400::The replayId {5} you provided was invalid.  Please provide a valid ID, -2 or -1.", ReplayLost),
        ("400::The channel you requested to subscribe to doesn't exist {x}", PermanentError),
        ("403::Unknown client", TransientError),
    ],
)
async def test_a_refused_subscription_says_why(error: str, kind: type[PlatformError]) -> None:
    server = Bayeux(subscriptions=[{"successful": False, "error": error}])
    with pytest.raises(PlatformError) as caught:
        async with session(server):
            pass
    assert type(caught.value) is kind


async def test_a_session_that_failed_to_open_leaves_nothing_running() -> None:
    before = asyncio.all_tasks()
    server = Bayeux(first={"successful": False, "error": "403::Unknown client"})
    with pytest.raises(TransientError):
        async with session(server):
            pass
    assert {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before} == set()  # type: ignore[union-attr]


async def test_nobody_there_is_transient() -> None:
    one = CometdSession(Token("http://localhost:1", "tok"), "60.0", at(-1))
    with pytest.raises(TransientError):
        await one.open()
    await one.close()


async def test_a_gateways_refusal_of_the_token_is_an_auth_error() -> None:
    server = Bayeux([{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}])
    async with session(server) as one:
        await ends(one, AuthError)
