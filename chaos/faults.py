"""The faults that befall a worker process: each a small function with a name.

Promises: each waits for the condition that makes it that fault (the death, the takeover), not for time to pass; holding a
process or a clock for a while is the fault itself.
"""

from __future__ import annotations

import asyncio
import signal

from chaos.hand import KILLED, Hand
from chaos.orders import Orders
from chaos.run import Fault, Run, Skipped
from isthmus.node.app import EXIT_DOUBT
from isthmus.tables.stage import STEPS

FIRE_SECONDS = 12.0
VICTIMS = 3
END_SECONDS = 40.0
SESSION_SECONDS = 12.0  # a little more than the node's Kafka session
HOLD_SECONDS = 4.0
LARGEST = 3


def kill_at(step: str) -> Fault:
    """Die at a labelled step of a unit of work, one of the next times it comes by."""

    async def fault(run: Run) -> None:
        for _ in range(VICTIMS):
            hand = await run.victim()
            exits = len(hand.exits)
            hand.order(Orders(step=step, nth=run.chance.randint(1, 12)))
            try:
                code = await hand.ended_since(exits, FIRE_SECONDS)
            except TimeoutError:
                hand.order(Orders())
            else:
                return _expect(run, f"kill_at_{step}", code, KILLED)
        raise Skipped(f"{VICTIMS} times no unit came to {step!r} within {FIRE_SECONDS:.0f} s")

    return fault


async def kill_random(run: Run) -> None:
    """Die at any moment, ready or not."""
    hand = run.chance.choice(run.running)
    exits = len(hand.exits)
    await asyncio.sleep(run.chance.random() * 3)
    hand.signal(signal.SIGKILL)
    await hand.ended_since(exits, END_SECONDS)


async def wiped_data(run: Run) -> None:
    """Die, and come back with an empty disk."""
    await (await run.victim()).wipe()


async def sigterm(run: Run) -> None:
    """End in order, and come back."""
    hand = await run.victim()
    exits = len(hand.exits)
    hand.signal(signal.SIGTERM)
    _expect(run, "sigterm", await hand.ended_since(exits, END_SECONDS), 0)


async def scale_out(run: Run) -> None:
    """One worker more; where there are enough, first one less."""
    if len(run.running) >= LARGEST:
        await scale_in(run)
    await (await run.more()).ready()
    await run.whole()


async def scale_in(run: Run) -> None:
    """One worker less, for good; where there is only one, first one more."""
    if len(run.running) < 2:
        await (await run.more()).ready()
    hand = await run.victim()
    await hand.stop()
    _expect(run, "scale_in", hand.exits[-1], 0)
    await run.whole()


async def pause(run: Run) -> None:
    """Stand still until others took over, then go on as if nothing had been: the zombie must be shut out."""
    hand = await run.victim()
    exits = len(hand.exits)
    hand.signal(signal.SIGSTOP)
    try:
        if len(run.running) > 1:
            await run.whole(without=hand)
        else:
            await asyncio.sleep(SESSION_SECONDS)
    finally:
        hand.signal(signal.SIGCONT)
    await _ended_or_whole(run, hand, exits)


def zombie_at(step: str) -> Fault:
    """Stand still in the middle of a unit of work until another has taken over, then go on with it: the send must fail and
    the process end. Where there is only one worker, first one more."""

    async def fault(run: Run) -> None:
        while len(run.running) < 2:
            await (await run.more()).ready()
        hand = await run.victim()
        exits = len(hand.exits)
        hand.order(Orders(step=step, nth=run.chance.randint(1, 6), hold=True))
        try:
            async with asyncio.timeout(FIRE_SECONDS):
                while not hand.stands_still():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            hand.order(Orders())
            hand.signal(signal.SIGCONT)
            raise Skipped(f"no unit of {hand.name} came to {step!r} within {FIRE_SECONDS:.0f} s") from None
        try:
            await run.whole(without=hand)
        finally:
            hand.signal(signal.SIGCONT)
        _expect(run, f"zombie_at_{step}", await hand.ended_since(exits, END_SECONDS), EXIT_DOUBT)

    return fault


async def _ended_or_whole(run: Run, hand: Hand, exits: int) -> None:
    """Wait until the zombie ended, or is a member again with all partitions owned."""
    ended = asyncio.create_task(hand.ended_since(exits, END_SECONDS))
    ready = asyncio.create_task(run.whole())
    await asyncio.wait({ended, ready}, return_when=asyncio.FIRST_COMPLETED)
    run.notes[f"pause: exit {hand.exits[exits]}" if len(hand.exits) > exits else "pause: rejoined"] += 1
    for task in (ended, ready):
        task.cancel()
    await asyncio.gather(ended, ready, return_exceptions=True)


async def clock_step(run: Run) -> None:
    """The clock is an hour off for a while, then right again."""
    hand = await run.victim()
    hand.order(Orders(clock=run.chance.choice((-3600.0, 3600.0))))
    await asyncio.sleep(HOLD_SECONDS)
    hand.order(Orders())


async def slow_consumer(run: Run) -> None:
    """Every write takes a second for a while."""
    for hand in run.running:
        await hand.ready()
        hand.order(Orders(pause=1.0))
    await asyncio.sleep(HOLD_SECONDS)
    for hand in run.running:
        hand.order(Orders())


def _expect(run: Run, name: str, code: int, wanted: int) -> None:
    if code != wanted:
        run.notes[f"{name}: exit {code}, not {wanted}"] += 1


KILLS: dict[str, Fault] = {
    **{f"kill_at_{step}": kill_at(step) for step in STEPS},
    "kill_random": kill_random,
    "wiped_data": wiped_data,
}
TROUBLES: dict[str, Fault] = {
    **{f"zombie_at_{step}": zombie_at(step) for step in ("folded", "begun", "sent")},
    **{fault.__name__: fault for fault in (sigterm, scale_out, scale_in, pause, clock_step, slow_consumer)},
}
