"""A lane: the one coroutine that owns a stage's partition, and the unit of work it does again and again.

Promises: does the records of its partition in their numbered order, once each (node/order.py); one element that cannot be
worked on is a dead letter and stops no other (node/working.py); a unit's outputs, changelog records and marker are one
Kafka transaction, and RocksDB follows it; other lanes of this worker may do their part of the same change in it
(node/following.py). On any doubt the process ends rather than goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import structlog

from isthmus.codecs.frames import FRAME_BYTES, TURN, Stamp
from isthmus.node.ending import end
from isthmus.node.following import NOWHERE, Frame, Neighbours, brought, following, nobody
from isthmus.node.order import Order, Seek
from isthmus.node.owners import release
from isthmus.node.packing import Cargo, Encoded, Names, Sender, Target, addressed
from isthmus.node.waiting import Waiting
from isthmus.node.working import Working
from isthmus.node.writer import Writer
from isthmus.tables.marker import MARKER_KEY, Marker, Verdict
from isthmus.tables.stage import Stage, Step, no_step
from isthmus.tables.store import Store
from isthmus.tables.unit import Unit, View

CATCH_UP_SECONDS = 5.0
Then = Callable[[], Awaitable[None]]

log = structlog.get_logger()


class Foreseen(NamedTuple):
    """What frames that are about to be written lead to: a unit, its parts, and the records of both for Kafka."""

    unit: Unit
    parts: Encoded
    cargo: Cargo


class Lane:
    """`seek(topic, partition, offset)` rewinds the consumer; `die(reason)` ends the process; `at` hears of each step;
    `neighbours(lane)`: the lanes that may follow it."""

    def __init__(
        self,
        stage: Stage,
        partition: int,
        names: Names,
        writer: Writer,
        stores: dict[str, Store],
        seek: Seek,
        die: Callable[[BaseException], None],
        frame_bytes: int = FRAME_BYTES,
        at: Step = no_step,
        neighbours: Callable[[Lane], Neighbours] = nobody,
    ) -> None:
        self.stage = stage
        self.partition = partition
        self.stores = stores
        self.queue = Waiting(patient=not stage.at_once)
        self.last_progress = time.monotonic()
        self.topics = {names.topic(name) for name in stage.topics}
        self._names = names
        self._writer = writer
        self._order = Order(str(self), seek)
        self._does = Working(str(self), stage, names, stores, frame_bytes)
        self._die = die
        self._at = at
        self._neighbours = neighbours
        self._coming: dict[tuple[str, str], int] = {}
        self._first: dict[str, int] = {}
        self._then: Then | None = None
        self._whole = False
        self._working = False
        self._due: float | None = None
        self._turn = asyncio.Lock()
        self._settling = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._sender = Sender(str(self), partition, stage.tables[0].name)

    # -- life

    @property
    def marker(self) -> Marker:
        """How far it has come."""
        return self._order.marker

    @property
    def alarm(self) -> str | None:
        """Why it stands still, if it does."""
        return self._order.alarm

    def stand_still(self, alarm: str) -> None:
        """Do nothing more until a person has looked."""
        self._order.stand_still(alarm)

    @property
    def ledger(self) -> tuple[Target, View]:
        """The changelog partition that holds the marker and says who owns this lane, and the table partition it fills."""
        table = self._sender.first_table
        return (self._names.changelog(table), self.partition), self.stores[table]

    def idle_for(self) -> float:
        """Seconds since the last unit of work."""
        return time.monotonic() - self.last_progress

    def load(self) -> None:
        """Read the marker; the stores are whole and nobody else writes for them."""
        self._whole = True
        self._order.marker = Marker.load(self.stores[self._sender.first_table].get(MARKER_KEY))

    def begin(self) -> None:
        """Start working."""
        self._working = True
        self._due = time.time() if self.stage.ticks else None
        self._tasks.append(asyncio.create_task(self._guard(self._work()), name=str(self)))
        if self.stage.source is not None:
            self._tasks.append(asyncio.create_task(self._guard(self.stage.source(self)), name=f"{self} source"))

    async def stop(self) -> None:
        """Finish the transaction under way, begin no other, give the partition up and everything back."""
        self._working = False
        async with self._settling:
            for task in self._tasks:
                task.cancel()
        await end(self._tasks)
        # Whoever waits to hand us a record must not wait for ever; the next owner reads it again.
        self.queue.clear()
        await self._give_up()
        for store in self.stores.values():
            store.close()

    async def _give_up(self) -> None:
        """So that the next owner need not fence us; where that fails it will. A store that was never whole stays where it
        is: between its position and ours may be what others committed."""
        if not self._writer.is_open:
            return
        target, _ = self.ledger
        entries = release(self._writer.names)
        try:
            offsets = await self._writer.commit(Cargo({target: entries}))
        except Exception as fault:
            log.warning("a partition could not be given up", lane=str(self), fault=repr(fault))
            return
        if not self._whole:
            return
        given_up = {key: value for key, value, _ in entries if key is not None}
        self.stores[self._sender.first_table].apply(given_up, offsets[target])

    async def _guard(self, work: Awaitable[None]) -> None:
        try:
            await work
        except (asyncio.CancelledError, GeneratorExit):
            raise  # stopped, or thrown away with its loop: no doubt about our state
        except BaseException as fault:
            self._die(fault)

    def __str__(self) -> str:
        return f"{self.stage.name}-{self.partition}"

    # -- a unit of work

    def view(self, table: str) -> View:
        """A table partition of this lane."""
        return self.stores[table]

    async def commit(self, work: Callable[[Unit], None]) -> None:
        """Do one unit of work that no input caused (a source's); returns when it is durable."""
        async with self._turn:
            unit = self._does.unit()
            work(unit)
            await self._settle(unit, self._does.encoded(unit))

    async def _work(self) -> None:
        while self._working and self.alarm is None:
            events = await self.queue.together(self._patience())
            async with self._turn:
                taken = [event for event in events if await self._order.take(event)]
                self._at("taken")
                await self._fold(taken, idle=not events)
            for event in taken:
                event.ack()
            self._at("acked")
            await self._open_up()
        if self.alarm is not None:
            await self.queue.swallow()  # other partitions come by the same stream

    def put_first(self, ends: Mapping[str, int], then: Then) -> None:
        """Follow nobody until these topics are done up to these offsets; `then` lets the others come."""
        self._first, self._then = dict(ends), then

    async def _open_up(self) -> None:
        """Has all been done that comes first?"""
        done = all((self.marker.resume_at(topic) or 0) >= end for topic, end in self._first.items())
        if self._then and self._first and done:
            self._first.clear()
            await self._then()

    def _patience(self) -> float | None:
        """Seconds to wait for a record; None: as long as it takes."""
        tick = None if self._due is None else max(0.0, self._due - time.time())
        if self._order.lagging:
            return CATCH_UP_SECONDS if tick is None else min(tick, CATCH_UP_SECONDS)
        return tick

    async def _fold(self, events: Sequence[Any], *, idle: bool) -> None:
        """`idle`: nothing came; the time to write down how far the marker has come although there was nothing to do."""
        tick = self._due is not None and self._due <= time.time()
        if not events and not tick and not (idle and self._order.lagging):
            return
        unit, parts = await self._does.done(events, tick=tick)
        self._due = unit.due
        self._at("folded")
        await self._settle(unit, parts)

    # -- making it durable

    async def _settle(self, unit: Unit, parts: Encoded) -> None:
        """The transaction, then RocksDB; once begun it is not cancelled, and once the lane is stopped none begins."""
        async with self._settling:
            if not self._working:  # a source's own tasks hear of its end later than we do
                raise asyncio.CancelledError
            await self._write(unit, parts)

    async def _write(self, unit: Unit, parts: Encoded) -> None:
        cargo = self._addressed(unit, parts)
        async with following(cargo, self._neighbours(self)) as followers:
            offsets = await self._writer.commit(cargo)
            self._at("committed")
            self.apply(unit, parts, offsets)
            for lane, its_unit, its_parts in followers:
                lane.apply(its_unit, its_parts, offsets)

    def _addressed(self, unit: Unit, parts: Encoded) -> Cargo:
        self.marker.count(unit.counts)
        self._order.lagging = False
        return addressed(parts, self._sender, self._names, self.marker)

    def apply(self, unit: Unit, parts: Encoded, offsets: Mapping[Target, int]) -> None:
        """Bring RocksDB to what is committed."""
        for table, puts in parts.puts.items():
            self.stores[table].apply(puts, offsets[self._names.changelog(table), self.partition])
        self._does.remember(unit, parts)
        self.last_progress = time.monotonic()
        self._at("applied")

    # -- following another lane

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Nobody else works here, and the lane is not stopped, until the block ends."""
        async with self._turn, self._settling:
            yield

    async def foresee(self, frames: Sequence[Frame]) -> Foreseen | None:
        """The work that these frames will be; None where it is better done when Kafka brings them. The lane is held."""
        if not self._is_ready() or not self._are_next(frames):
            return None
        try:
            unit, parts = await self._does.together(brought(frames, self.partition))
        except Exception:
            return None
        # A dead letter names the place of what it was; it is numbered, so it was not packed.
        if any(record.topic == "dead" for record in unit.records):
            self._does.forget()
            return None
        for frame in frames:
            frame.headers.append((TURN, str(self.marker.turn(frame.topic)).encode()))
            self.marker.foreseen(frame.topic, frame.stamp)
        return Foreseen(unit, parts, self._addressed(unit, parts))

    def expect(self, topic: str, stamp: Stamp) -> None:
        """A frame for this lane is about to be committed; unless it is done, Kafka will bring it."""
        if self.marker.judge(topic, NOWHERE, stamp) is not Verdict.REPEAT:
            self._coming[topic, stamp.origin] = stamp.number

    def _is_ready(self) -> bool:
        """Does it work, with everything done that was committed for it?"""
        if not self._working or self.alarm is not None or self._order.gaps or self._first:
            return False
        for (topic, origin), number in list(self._coming.items()):
            if self.marker.judge(topic, NOWHERE, Stamp(origin, number)) is not Verdict.REPEAT:
                return False
            del self._coming[topic, origin]
        return True

    def _are_next(self, frames: Iterable[Frame]) -> bool:
        first: dict[tuple[str, str], Frame] = {}
        for frame in frames:
            first.setdefault((frame.topic, frame.stamp.origin), frame)
        return all(self.marker.judge(one.topic, NOWHERE, one.stamp) is Verdict.NEXT for one in first.values())
