"""The transactional hand of one worker: what its lanes want durable, as one Kafka transaction after another.

Promises: what a lane hands over in one piece becomes visible in one piece; what waits while a transaction is under way
goes into the next one together, so a busy worker makes fewer transactions, not more. Two may be under way at once, so
that in quiet times nobody waits for another's. `commit` returns when all of it is
on the brokers and committed; whatever it raises, the process must not go on: the outcome may be unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from isthmus.node.ending import end
from isthmus.node.packing import Cargo, Target
from isthmus.node.transaction import Placed, Transactions
from isthmus.tables.stage import Step, no_step

TOGETHER_BYTES = 8 << 20
HANDS = 2


@dataclass(slots=True)
class Wish:
    """What one lane wants durable; `done` gets the offset of the last entry of each target."""

    cargo: Cargo
    done: asyncio.Future[dict[Target, int]]
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = self.cargo.size


class Writer:
    """`name`: what its transactional ids begin with, used by this process and by no other ever; `names` are the ids."""

    def __init__(self, bootstrap: str, name: str, deadline: float = 30.0, at: Step = no_step) -> None:
        self.names = tuple(f"{name}-{hand}" for hand in range(HANDS))
        self._hands = [Transactions(bootstrap, one, at) for one in self.names]
        self._deadline = deadline
        self._wishes: list[Wish] = []
        self._wanted = asyncio.Event()
        self._opening: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Connect; a second time does nothing. To cancel it stops the waiting, not the connecting."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._connect(), name="writer connects")
        await asyncio.shield(self._opening)

    async def _connect(self) -> None:
        async with asyncio.timeout(self._deadline):
            await asyncio.gather(*(hand.open() for hand in self._hands))
        self._tasks = [asyncio.create_task(self._work(hand), name=hand.transactional_id) for hand in self._hands]

    @property
    def is_open(self) -> bool:
        """Can anything be committed?"""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    async def close(self) -> None:
        """Give the connections back; what was not committed never will be."""
        await end([*self._tasks, *([self._opening] if self._opening else [])])
        await asyncio.gather(*(hand.close() for hand in self._hands))

    async def fence(self, names: Iterable[str]) -> None:
        """Shut out other writers for good: nothing of theirs becomes visible from now on."""
        async with asyncio.timeout(self._deadline):
            await asyncio.gather(*(self._hands[0].take(name) for name in names))

    async def commit(self, cargo: Cargo) -> dict[Target, int]:
        """Write this in one transaction; the offset of the last record per (topic, partition)."""
        if not self.is_open:
            raise ConnectionAbortedError("this worker's writer has ended")
        wish = Wish(cargo, asyncio.get_running_loop().create_future())
        self._wishes.append(wish)
        self._wanted.set()
        return await wish.done

    async def _work(self, hand: Transactions) -> None:
        while True:
            await self._wanted.wait()
            wishes = self._next()
            try:
                async with asyncio.timeout(self._deadline):
                    await _fulfil(hand, wishes)
            except BaseException as fault:
                for wish in (*wishes, *self._wishes):
                    with contextlib.suppress(asyncio.InvalidStateError):
                        wish.done.set_exception(fault if isinstance(fault, Exception) else ConnectionAbortedError())
                raise

    def _next(self) -> list[Wish]:
        """The wishes of the next transaction, in their order."""
        size, count = 0, 0
        while count < len(self._wishes) and (not count or size + self._wishes[count].size <= TOGETHER_BYTES):
            size += self._wishes[count].size
            count += 1
        taken, self._wishes = self._wishes[:count], self._wishes[count:]
        if not self._wishes:
            self._wanted.clear()
        return taken


async def _fulfil(hand: Transactions, wishes: Sequence[Wish]) -> None:
    together = Cargo()
    for wish in wishes:
        together.add(wish.cargo)
    if not together:
        return
    placed = await hand.run(together)
    for wish, numbers in zip(wishes, last_of([wish.cargo for wish in wishes]), strict=True):
        if not wish.done.done():
            wish.done.set_result({target: _offset(placed[target], number) for target, number in numbers.items()})


def last_of(cargos: Sequence[Cargo]) -> list[dict[Target, int]]:
    """Of each of these, written together, the number of its last record among a target's, whose entries come first."""
    last: list[dict[Target, int]] = [{} for _ in cargos]
    counted: dict[Target, int] = defaultdict(int)
    for numbers, cargo in zip(last, cargos, strict=True):
        for target, entries in cargo.entries.items():
            counted[target] += len(entries)
            numbers[target] = counted[target] - 1
    for numbers, cargo in zip(last, cargos, strict=True):
        for target, parcels in cargo.parcels.items():
            counted[target] += sum(parcel.records for parcel in parcels)
            numbers[target] = counted[target] - 1
    return last


def _offset(placed: Sequence[Placed], number: int) -> int:
    """The offset of a target's entry with this number."""
    batch = placed[bisect_right(placed, number, key=lambda one: one.first) - 1]
    return batch.offset + number - batch.first
