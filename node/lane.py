"""A lane: the one coroutine that owns a stage's partition, and the unit of work it does again and again.

Promises: takes the records of its partition in their numbered order, once each, however often Faust delivers them; a
unit's outputs, changelog records and marker are one Kafka transaction, and RocksDB follows it; other lanes of this worker
may do their part of the same change in it (node/following.py); a record that something beneath us dropped is noticed by
its number and read again; one element that cannot be worked on is a dead letter and stops no other. On any doubt the
process ends rather than goes on.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import structlog

from isthmus.codecs.frames import FRAME_BYTES, TURN, Broken, encode, stamp_of
from isthmus.config.errors import DecodeError
from isthmus.node.following import Batches, Downstream, Frame, following, nobody
from isthmus.node.owners import release
from isthmus.node.packing import Encoded, Names, Sender, Target, addressed, encoded
from isthmus.node.writer import Writer
from isthmus.tables.marker import MARKER_KEY, Marker, Verdict
from isthmus.tables.stage import Batch, Stage, Step, no_step
from isthmus.tables.store import Store
from isthmus.tables.unit import Unit, View

WAITING_RECORDS = 256
WAITING_BYTES = 8 << 20
UNIT_BYTES = 4 << 20
REWIND_SECONDS = 5.0
AWAITED_SECONDS = 30.0
CATCH_UP_SECONDS = 5.0
TICK = "tick"
NOWHERE = -1  # the offset of a record that is not on Kafka yet
KEPT_DECODED = 4096

log = structlog.get_logger()


@dataclass(slots=True)
class Gap:
    """Records of a topic that are missing: the offset of the first one that came too early, when that was noticed, and
    when the topic was last read again (seconds of the monotonic clock)."""

    offset: int
    seen: float
    rewound: float


class Foreseen(NamedTuple):
    """What frames that are about to be written lead to: a unit, its parts, and the records of both for Kafka."""

    unit: Unit
    parts: Encoded
    batches: Batches


class Waiting(asyncio.Queue[Any]):
    """The records that wait for a lane: many small ones, or few large ones."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self._bytes = 0

    def _put(self, item: Any) -> None:
        super()._put(item)
        self._bytes += _size(item)

    def _get(self) -> Any:
        item = super()._get()
        self._bytes -= _size(item)
        return item

    def full(self) -> bool:
        """Has one more to wait outside?"""
        return super().full() or self._bytes >= WAITING_BYTES


class Lane:
    """`seek(topic, partition, offset)` rewinds the consumer; `die(reason)` ends the process; `at` hears of each step;
    `downstream(lane)`: the lanes that may follow it."""

    def __init__(
        self,
        stage: Stage,
        partition: int,
        names: Names,
        writer: Writer,
        stores: dict[str, Store],
        seek: Callable[[str, int, int], Awaitable[None]],
        die: Callable[[BaseException], None],
        frame_bytes: int = FRAME_BYTES,
        at: Step = no_step,
        downstream: Downstream = nobody,
    ) -> None:
        self.stage = stage
        self.partition = partition
        self.stores = stores
        self.marker = Marker()
        self.queue = Waiting(maxsize=WAITING_RECORDS)
        self.last_progress = time.monotonic()
        self.alarm: str | None = None
        self._names = names
        self._writer = writer
        self._seek = seek
        self._die = die
        self._frame_bytes = frame_bytes
        self._at = at
        self._downstream = downstream
        self._working = False
        self._lagging = False
        self._due: float | None = None
        self._turn = asyncio.Lock()
        self._settling = asyncio.Lock()
        self._gaps: dict[str, Gap] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._known: dict[str, dict[bytes, Any]] = {table.name: {} for table in stage.tables}
        self._sender = Sender(f"{stage.name}-{partition}", partition, stage.tables[0].name)
        self.topics = {names.topic(name): name for name in stage.topics}
        self._elements = {one.topic: one.elements for one in stage.inputs}

    # -- life

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
        self.marker = Marker.load(self.stores[self._sender.first_table].get(MARKER_KEY))

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
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Whoever waits to hand us a record must not wait for ever; the next owner reads it again.
        while not self.queue.empty():
            self.queue.get_nowait()
        await self._give_up()
        for store in self.stores.values():
            store.close()

    async def _give_up(self) -> None:
        """So that the next owner need not fence us; where that fails it will."""
        if not self._writer.is_open:
            return
        target, _ = self.ledger
        entries = release(self._writer.names)
        try:
            offsets = await self._writer.commit({target: entries})
        except Exception as fault:
            log.warning("a partition could not be given up", lane=str(self), fault=repr(fault))
            return
        given_up = [(key, value) for key, value, _ in entries if key is not None]
        self.stores[self._sender.first_table].apply(given_up, offsets[target])

    async def _guard(self, work: Awaitable[None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
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
            unit = self._unit()
            work(unit)
            await self._settle(unit, encoded(unit, self._frame_bytes))

    async def _work(self) -> None:
        while True:
            events = await self._next()
            async with self._turn:
                taken = [event for event in events if await self._take(event)]
                self._at("taken")
                await self._fold(taken, idle=not events)
            for event in taken:
                event.ack()
            self._at("acked")

    async def _next(self) -> list[Any]:
        """At least one record, with those that already wait; none at all when a tick or the marker is due first."""
        try:
            events = [await asyncio.wait_for(self.queue.get(), self._patience())]
        except TimeoutError:
            return []
        size = _size(events[0])
        while size < UNIT_BYTES and not self.queue.empty():
            events.append(self.queue.get_nowait())
            size += _size(events[-1])
        return events

    def _patience(self) -> float | None:
        """Seconds to wait for a record; None: as long as it takes."""
        tick = None if self._due is None else max(0.0, self._due - time.time())
        if self._lagging:
            return CATCH_UP_SECONDS if tick is None else min(tick, CATCH_UP_SECONDS)
        return tick

    async def _take(self, event: Any) -> bool:
        message = event.message
        stamp = stamp_of(message.headers)
        verdict = self.marker.judge(message.topic, message.offset, stamp)
        if verdict is not Verdict.REPEAT and self._comes_again(message):
            return False
        if verdict is Verdict.HOLE and not (stamp is None and self._came_again(message)):
            await self._miss(message)
            return False
        if verdict is Verdict.REPEAT:
            self._lagging |= stamp is not None and self.marker.passed(message.topic, message.offset, stamp)
            event.ack()
            return False
        self._gaps.pop(message.topic, None)
        self.marker.done(message.topic, message.offset, stamp)
        return True

    def _came_again(self, message: Any) -> bool:
        """Did a rewind bring the same record again? Then Kafka has none before it; offsets, unlike numbers, may skip."""
        gap = self._gaps.get(message.topic)
        return gap is not None and message.offset == gap.offset

    def _comes_again(self, message: Any) -> bool:
        """Was it on its way when we began to read again from before it? Taken now, it would hide what lies between: a
        record without a number is told from a repeat by its offset alone."""
        gap = self._gaps.get(message.topic)
        return gap is not None and message.offset > gap.offset and time.monotonic() - gap.rewound < AWAITED_SECONDS

    async def _miss(self, message: Any) -> None:
        """Something before this record is missing: read again, or stand still where Kafka itself has lost it."""
        if self._came_again(message) and time.monotonic() - self._gaps[message.topic].seen >= REWIND_SECONDS:
            self.stand_still(
                f"{_place(message)} came, but frames before it are not in Kafka any more: changes are lost",
            )
            while True:  # other partitions come by the same stream
                await self.queue.get()
        await self._rewind(message)

    def stand_still(self, alarm: str) -> None:
        """Do nothing more until a person has looked: going on would hide a loss."""
        self.alarm = alarm
        log.critical("this lane stands still", lane=str(self), alarm=alarm)

    async def _rewind(self, message: Any) -> None:
        """Read the topic again from where we are; what was already on its way meanwhile asks for no second rewind."""
        topic, now = message.topic, time.monotonic()
        gap = self._gaps.setdefault(topic, Gap(message.offset, now, now - REWIND_SECONDS))
        gap.offset = min(gap.offset, message.offset)
        if now - gap.rewound < REWIND_SECONDS:
            return
        gap.rewound = now
        log.warning("a record was dropped beneath us: reading again", lane=str(self), topic=topic)
        await self._seek(topic, self.partition, self.marker.missing_from(topic, stamp_of(message.headers)))

    # -- the work

    async def _fold(self, events: Sequence[Any], *, idle: bool) -> None:
        """`idle`: nothing came; the time to write down how far the marker has come although there was nothing to do."""
        tick = self._due is not None and self._due <= time.time()
        if not events and not tick and not (idle and self._lagging):
            return
        unit, parts = await self._worked(events, tick=tick)
        self._due = unit.due
        self._at("folded")
        await self._settle(unit, parts)

    async def _worked(self, events: Sequence[Any], *, tick: bool) -> tuple[Unit, Encoded]:
        """The unit that these records lead to. Where the stage cannot do them together, one by one."""
        unit = self._unit()
        batches = list(self._batches(events, unit))
        if tick:
            batches.append(Batch(TICK, [time.time()]))
        try:
            await self._run(unit, batches)
            return unit, encoded(unit, self._frame_bytes)
        except Exception as fault:
            log.warning("a unit of work is done again, one by one", lane=str(self), fault=repr(fault))
            self._forget()
        unit = await self._worked_apart(events, tick=tick)
        return unit, encoded(unit, self._frame_bytes)

    async def _worked_apart(self, events: Sequence[Any], *, tick: bool) -> Unit:
        unit = self._unit()
        for event in events:
            for batch in self._batches([event], unit):
                for element in batch.elements:
                    await self._try(unit, batch.topic, element)
        if tick:
            await self._try(unit, TICK, time.time())
        return unit

    async def _try(self, unit: Unit, topic: str, element: Any) -> None:
        """One element alone, on a copy: what it raises is a dead letter."""
        trial = unit.trial()
        try:
            await self._run(trial, [Batch(topic, [element])])
            encoded(trial, self._frame_bytes)
        except Exception as fault:
            self.stage.bury(unit, _raw(element), fault)
        else:
            unit.adopt(trial)

    async def _run(self, unit: Unit, batches: Sequence[Batch]) -> None:
        result = self.stage.fold(unit, batches)
        if inspect.isawaitable(result):
            await result

    def _batches(self, events: Sequence[Any], unit: Unit) -> Iterator[Batch]:
        for event in events:
            message = event.message
            unit.place = _place(message)
            name = self.topics[message.topic]
            elements = self._elements[name]
            if elements is None:
                yield Batch(name, [message])
                continue
            try:
                found = elements.decode(message.value, unit.place)
            except DecodeError as fault:
                self.stage.bury(unit, message.value, fault)
                continue
            if Broken in map(type, found):
                found = self._whole(unit, found)
            yield Batch(name, found)
        unit.place = ""

    def _whole(self, unit: Unit, elements: Sequence[Any]) -> list[Any]:
        for broken in (one for one in elements if isinstance(one, Broken)):
            self.stage.bury(unit, broken.raw, broken.fault)
        return [one for one in elements if not isinstance(one, Broken)]

    def _unit(self) -> Unit:
        return Unit(self.stores, self._names.partitions, self._known)

    def _forget(self) -> None:
        """What was decoded may have been changed by work that came to nothing."""
        for known in self._known.values():
            known.clear()

    def _remember(self, unit: Unit) -> None:
        """Keep the newest values decoded, so many a table."""
        for table, puts in unit.puts.items():
            known = self._known[table]
            for key, value in puts.items():
                known.pop(key, None)
                if value is not None:
                    known[key] = value
            for key in list(itertools.islice(known, max(0, len(known) - KEPT_DECODED))):
                del known[key]

    # -- making it durable

    async def _settle(self, unit: Unit, parts: Encoded) -> None:
        """The transaction, then RocksDB; once begun it is not cancelled."""
        async with self._settling:
            await self._write(unit, parts)

    async def _write(self, unit: Unit, parts: Encoded) -> None:
        batches = self._addressed(unit, parts)
        async with following(batches, self._downstream(self)) as followers:
            offsets = await self._writer.commit(batches)
            self._at("committed")
            self.apply(unit, parts, offsets)
            for lane, its_unit, its_parts in followers:
                lane.apply(its_unit, its_parts, offsets)

    def _addressed(self, unit: Unit, parts: Encoded) -> Batches:
        self.marker.count(unit.counts)
        self._lagging = False
        return addressed(parts, self._sender, self._names, self.marker)

    def apply(self, unit: Unit, parts: Encoded, offsets: Mapping[Target, int]) -> None:
        """Bring RocksDB to what is committed."""
        for table, puts in parts.puts.items():
            self.stores[table].apply(puts.items(), offsets[self._names.changelog(table), self.partition])
        self._remember(unit)
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
        if not self._working or self.alarm is not None or self._gaps or not self._are_next(frames):
            return None
        unit = self._unit()
        try:
            await self._run(unit, list(self._batches(_events(frames, self.partition), unit)))
            parts = encoded(unit, self._frame_bytes)
        except Exception:
            self._forget()
            return None
        if any(record.topic == "dead" for record in unit.records):  # a dead letter names the place of what it was
            self._forget()
            return None
        for frame in frames:
            frame.headers.append((TURN, str(self.marker.turn(frame.topic)).encode()))
            self.marker.foreseen(frame.topic, frame.stamp)
        return Foreseen(unit, parts, self._addressed(unit, parts))

    def _are_next(self, frames: Iterable[Frame]) -> bool:
        first: dict[tuple[str, str], Frame] = {}
        for frame in frames:
            first.setdefault((frame.topic, frame.stamp.origin), frame)
        return all(self.marker.judge(one.topic, NOWHERE, one.stamp) is Verdict.NEXT for one in first.values())


def _events(frames: Iterable[Frame], partition: int) -> list[Any]:
    """Frames as the events that Faust would bring."""
    return [
        SimpleNamespace(message=SimpleNamespace(topic=topic, partition=partition, offset=NOWHERE, value=value))
        for topic, _, value, _ in frames
    ]


def _size(event: Any) -> int:
    return len(event.message.value or b"")


def _place(message: Any) -> str:
    return f"{message.topic}/{message.partition}/{message.offset}"


def _raw(element: Any) -> bytes:
    """An element's bytes; of a record that is no frame, its value."""
    value = getattr(element, "value", None)
    return value if isinstance(value, bytes) else encode(element)
