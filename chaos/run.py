"""A run: the workers under trial, the gate through which changes come, and the waiting on conditions between faults.

Promises: at every fault changes are under way; a fault that cannot be made here is skipped with its reason, never
silently; whatever was started is stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import aiohttp

from chaos.broker import Broker
from chaos.generator import SYSTEMS
from chaos.hand import KILLED, Hand
from chaos.orders import open_gate

TICK = 0.05
LONGEST_TICK = 1.0  # a machine that stood still is not to be made up for at once
SHARE_SECONDS = 40.0  # how long a fault may take until the next one's share of the changes is used up too
CALM_SECONDS = 2.0
SAID_SECONDS = 30.0
Say = Callable[[str], None]


class Skipped(Exception):
    """This fault cannot be made here and now; the message says why."""


@dataclass
class Run:
    """`each`: deliveries of each system; `injected`: where strangers' records lie, and what is in them: they must
    become dead letters."""

    folder: Path
    bootstrap: str
    namespace: str
    seed: int
    each: int
    rate: float
    chance: random.Random
    say: Say
    broker: Broker | None = None
    hands: list[Hand] = field(default_factory=list)
    injected: dict[str, str] = field(default_factory=dict)
    patience: float = 120.0
    notes: Counter[str] = field(default_factory=Counter)
    ledger: dict[str, Any] = field(default_factory=dict)
    share: float = 0.0
    target: float = 0.0
    opened: float = 0.0

    calm_seconds: ClassVar[float] = CALM_SECONDS

    # -- workers

    @property
    def told(self) -> int:
        """How many changes came so far."""
        return int(self.opened) * len(SYSTEMS)

    @property
    def running(self) -> list[Hand]:
        """Workers that are meant to run."""
        return [hand for hand in self.hands if hand.running]

    async def victim(self) -> Hand:
        """One that is ready to work, the first of them; where some hold partitions, of those."""
        hands = self.chance.sample(self.running, len(self.running))
        busy = await asyncio.gather(*(hand.busy() for hand in hands))
        hands = [hand for hand, has_work in zip(hands, busy, strict=True) if has_work] or hands
        waiting = [asyncio.create_task(hand.ready(self.patience)) for hand in hands]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return next(hand for hand, task in zip(hands, waiting, strict=True) if task.done() and not task.exception())
        except StopIteration:
            raise TimeoutError("no worker becomes ready") from None
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def more(self) -> Hand:
        """One worker more."""
        idle = [hand for hand in self.hands if not hand.running]
        hand = idle[0] if idle else Hand(f"w{len(self.hands)}", self.folder, self.given())
        if not idle:
            self.hands.append(hand)
        await hand.start()
        return hand

    def given(self) -> dict[str, str]:
        """The variables of every worker."""
        return {
            "ISTHMUS_KAFKA__URL": self.bootstrap,
            "ISTHMUS_NODE__NAMESPACE": self.namespace,
            "CHAOS_RUN": str(self.folder),
            "CHAOS_SEED": str(self.seed),
            "CHAOS_EACH": str(self.each),
        }

    @property
    def kills(self) -> int:
        """Deaths by SIGKILL so far."""
        return sum(code == KILLED for hand in self.hands for code in hand.exits)

    # -- conditions

    async def back(self) -> None:
        """Wait until every worker can do its work and every partition has an owner; TimeoutError where it does not come."""
        async with asyncio.timeout(self.patience):
            await asyncio.gather(*(hand.ready() for hand in self.running))
            await self.whole()

    async def whole(self, without: Hand | None = None) -> None:
        """Wait until every partition has an owner that answers; TimeoutError where that does not come."""
        async with asyncio.timeout(self.patience):
            while not (await self.books(without)).get("complete"):
                await asyncio.sleep(0.1)

    async def books(self, without: Hand | None = None) -> dict[str, Any]:
        """The ledger as some worker answers; empty where none does."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=8)) as session:
            for hand in self.running:
                if hand is without:
                    continue
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(f"{hand.url}/v1/ledger") as response:
                        self.ledger = await response.json()
                        return self.ledger
        return {}

    async def settle(self, seconds: float) -> bool:
        """Wait until all is told, done and stays so; False where that does not come in time."""
        before: Any = None
        calm = said = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    ledger = await self.books()
                    if time.monotonic() - said > SAID_SECONDS:
                        said = time.monotonic()
                        self.say(f"  {self.told} changes let in, {ledger.get('totals')}, {ledger.get('frames')} frames")
                    if not self.at_rest(ledger) or ledger != before:
                        before, calm = ledger, time.monotonic()
                    elif time.monotonic() - calm > self.calm_seconds:
                        return True
                    await asyncio.sleep(0.1)
        return False

    def at_rest(self, ledger: dict[str, Any]) -> bool:
        """Is all told, and nothing under way?"""
        if not ledger or not ledger["complete"] or ledger["frames"] or ledger["totals"]["in_flight"]:
            return False
        waiting = sum(counts.get("parked", 0) for counts in ledger["deliveries"].values())
        return not waiting and ledger["totals"]["received"] >= len(SYSTEMS) * self.each

    # -- changes

    async def pump(self) -> None:
        """Open the gate at the run's rate up to the target, and slowly beyond it: no fault meets a quiet node."""
        before = time.monotonic()
        while self.opened < self.each:
            await asyncio.sleep(TICK)
            rate = self.rate if self.opened < self.target else self.share / SHARE_SECONDS
            now = time.monotonic()
            self.opened = min(self.each, self.opened + rate * min(now - before, LONGEST_TICK))
            before = now
            self.let_in(int(self.opened))

    def let_in(self, number: int) -> None:
        """This many deliveries of each system may be told by now."""
        open_gate(self.folder, number)


Fault = Callable[[Run], Awaitable[None]]


@contextlib.asynccontextmanager
async def flowing(run: Run, workers: int) -> AsyncIterator[None]:
    """Workers that are ready, and changes that come; the workers are stopped in the end."""
    pump: asyncio.Task[None] | None = None
    try:
        for _ in range(workers):
            await run.more()
        await run.back()
        pump = asyncio.create_task(run.pump())
        yield
    finally:
        if pump is not None:
            pump.cancel()
        await asyncio.gather(*(hand.stop() for hand in run.hands))
