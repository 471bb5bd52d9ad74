"""The faults that befall the platforms and the way to them: outages, throttling, lost answers, sessions, lost webhooks.

Promises: each is taken back before it returns; what the node was told meanwhile is still true.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from chaos.day import DayRun
from chaos.run import Fault, Run, Skipped
from isthmus.simulators.outage import Outage

HOLD_SECONDS = 6.0
RETRY_AFTER = 2.0
REFUSED = 60
LOST = 20
EVERY = 5
LIMIT = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
TargetFault = Callable[[DayRun], Awaitable[None]]


def at_the_day(fault: TargetFault) -> Fault:
    """Only where simulators take part."""

    async def made(run: Run) -> None:
        if not isinstance(run, DayRun):
            raise Skipped("no simulator takes part")
        await fault(run)

    return made


@contextlib.asynccontextmanager
async def _held(run: DayRun) -> AsyncIterator[Outage]:
    """One platform's edge, for a while."""
    name, outage = run.chance.choice((("salesforce", run.org.outage), ("dynamics", run.environment.outage)))
    run.say(f"  {name}")
    try:
        yield outage
        await asyncio.sleep(HOLD_SECONDS)
    finally:
        outage.over()


async def target_down(run: DayRun) -> None:
    """Every request is answered with 503, logins too."""
    async with _held(run) as outage:
        outage.status = 503


async def target_unreachable(run: DayRun) -> None:
    """Every connection breaks."""
    async with _held(run) as outage:
        outage.unreachable = True


async def target_slow(run: DayRun) -> None:
    """Every answer takes a second."""
    async with _held(run) as outage:
        outage.delay = 1.0


async def throttled(run: DayRun) -> None:
    """Both platforms answer the next writes with 429 and say how long to wait."""
    body = [{"message": LIMIT, "errorCode": "TOO_MANY_REQUESTS"}]
    run.org.fail_next(REFUSED, 429, body, RETRY_AFTER)
    run.environment.fail_next(REFUSED, 429, "0x80072322", RETRY_AFTER)
    await asyncio.sleep(HOLD_SECONDS)
    run.org.recover()
    run.environment.recover()


async def answers_lost(run: DayRun) -> None:
    """The next writes are carried out, and their answers never arrive."""
    run.environment.lose_answers(LOST)
    await asyncio.sleep(HOLD_SECONDS)
    run.environment.recover()


async def webhooks_lost(run: DayRun) -> None:
    """Every fifth webhook is not delivered until an administrator resumes it; all come late."""
    before = run.environment.delay
    run.environment.drop_every, run.environment.delay = EVERY, 3.0
    try:
        await asyncio.sleep(HOLD_SECONDS)
    finally:
        run.environment.drop_every, run.environment.delay = 0, before


async def events_again(run: DayRun) -> None:
    """Salesforce tells its last events again."""
    run.org.redeliver(200)


async def tokens_expired(run: DayRun) -> None:
    """Every session of both platforms ends."""
    run.org.expire_tokens()
    run.environment.expire_tokens()


async def stream_dropped(run: DayRun) -> None:
    """Salesforce forgets its CometD clients."""
    run.org.forget_clients()


TARGETS: dict[str, Fault] = {
    fault.__name__: at_the_day(fault)
    for fault in (
        target_down,
        target_unreachable,
        target_slow,
        throttled,
        answers_lost,
        webhooks_lost,
        events_again,
        tokens_expired,
        stream_dropped,
    )
}
