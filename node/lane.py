"""A lane: the one coroutine that owns a stage's partition, and the unit of work it does again and again.

Promises: takes the records of its partition in their numbered order, once each, however often Faust delivers them; a
unit's outputs, changelog records and marker are one Kafka transaction, and RocksDB follows it; a record that something
beneath us dropped is noticed by its number and read again. On any doubt the process ends rather than goes on.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import structlog

from isthmus.codecs.dead import dead_letter
from isthmus.codecs.frames import FRAME_BYTES, Stamp, decode, split, stamp_of
from isthmus.config.errors import DecodeError
from isthmus.node.writer import Entry, Writer, partition_of
from isthmus.tables.marker import MARKER_KEY, Marker, Verdict
from isthmus.tables.stage import Item, Stage, Step, Unit, View, no_step
from isthmus.tables.store import Store

UNIT_RECORDS = 64
REWIND_SECONDS = 5.0
TICK = "tick"

log = structlog.get_logger()


class Names(Protocol):
    """Where things are on this node's Kafka."""

    @property
    def partitions(self) -> int:
        """Of every topic."""
        ...

    def topic(self, name: str) -> str:
        """A topic's full name."""
        ...

    def changelog(self, table: str) -> str:
        """A table's changelog topic."""
        ...


class Lane:
    """`seek(topic, partition, offset)` rewinds the consumer; `die(reason)` ends the process; `at` hears of each step."""

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
    ) -> None:
        self.stage = stage
        self.partition = partition
        self.stores = stores
        self.marker = Marker()
        self.queue: asyncio.Queue[Any] = asyncio.Queue(maxsize=16)
        self.last_progress = time.monotonic()
        self._names = names
        self._writer = writer
        self._seek = seek
        self._die = die
        self._frame_bytes = frame_bytes
        self._at = at
        self._due: float | None = None
        self._turn = asyncio.Lock()
        self._settling = asyncio.Lock()
        self._rewinds: dict[str, tuple[int, float]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._topics = {names.topic(name): name for name in stage.inputs}

    # -- life

    async def fence(self) -> None:
        """Shut out whoever wrote for this partition before."""
        await self._writer.open()

    def idle_for(self) -> float:
        """Seconds since the last unit of work."""
        return time.monotonic() - self.last_progress

    def begin(self) -> None:
        """Read the marker and start working; the stores are recovered and the writer has fenced."""
        self.marker = Marker.load(self.stores[self.stage.tables[0]].get(MARKER_KEY))
        self._due = time.time() if self.stage.ticks else None
        self._tasks.append(asyncio.create_task(self._guard(self._work()), name=str(self)))
        if self.stage.source is not None:
            self._tasks.append(asyncio.create_task(self._guard(self.stage.source(self)), name=f"{self} source"))

    async def stop(self) -> None:
        """Finish the transaction under way, begin no other, give everything back."""
        async with self._settling:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Whoever waits to hand us a record must not wait for ever; the next owner reads it again.
        while not self.queue.empty():
            self.queue.get_nowait()
        await self._writer.close()
        for store in self.stores.values():
            store.close()

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
            unit = Unit(self.stores)
            work(unit)
            await self._settle(unit)

    async def _work(self) -> None:
        while True:
            events = await self._next()
            async with self._turn:
                taken = [event for event in events if await self._take(event)]
                self._at("taken")
                await self._fold(taken)
            for event in taken:
                event.ack()
            self._at("acked")

    async def _next(self) -> list[Any]:
        """At least one record, with those that already wait; none at all when a tick is due first."""
        patience = None if self._due is None else max(0.0, self._due - time.time())
        try:
            events = [await asyncio.wait_for(self.queue.get(), patience)]
        except TimeoutError:
            return []
        while len(events) < UNIT_RECORDS and not self.queue.empty():
            events.append(self.queue.get_nowait())
        return events

    async def _take(self, event: Any) -> bool:
        message = event.message
        stamp = stamp_of(message.headers)
        verdict = self.marker.judge(message.topic, message.offset, stamp)
        if verdict is Verdict.HOLE and not (stamp is None and self._true_hole(message)):
            await self._rewind(message)
            return False
        if verdict is Verdict.REPEAT:
            event.ack()
            return False
        self._rewinds.pop(message.topic, None)
        self.marker.done(message.topic, message.offset, stamp)
        return True

    def _true_hole(self, message: Any) -> bool:
        """Offsets, unlike frame numbers, may skip: believed when a rewind brought the same record again."""
        return bool(self._rewinds.get(message.topic, (None, 0.0))[0] == message.offset)

    async def _rewind(self, message: Any) -> None:
        """Read the topic again from where we are; what was already on its way meanwhile asks for no second rewind."""
        topic, now = message.topic, time.monotonic()
        if now - self._rewinds.get(topic, (0, -REWIND_SECONDS))[1] < REWIND_SECONDS:
            return
        self._rewinds[topic] = (message.offset, now)
        log.warning("a record was dropped beneath us: reading again", lane=str(self), topic=topic)
        await self._seek(topic, self.partition, self.resume_at(topic) or 0)

    def resume_at(self, topic: str) -> int | None:
        """The offset after the last record done of an input topic; None where nothing was done yet."""
        known = self.marker.inputs.get(topic)
        return None if known is None else known.offset + 1

    async def _fold(self, events: Sequence[Any]) -> None:
        unit = Unit(self.stores)
        items = [item for event in events for item in self._items(event, unit)]
        if self._due is not None and self._due <= time.time():
            items.append(Item(TICK, time.time()))
        if not events and not items:
            return
        result = self.stage.fold(unit, items)
        if inspect.isawaitable(result):
            await result
        self._due = unit.due
        self._at("folded")
        await self._settle(unit)

    def _items(self, event: Any, unit: Unit) -> list[Item]:
        message = event.message
        name = self._topics[message.topic]
        if stamp_of(message.headers) is None:
            return [Item(name, message)]
        try:
            return [Item(name, element) for element in decode(message.value, f"{message.topic}/{message.offset}")]
        except DecodeError as fault:
            unit.bury(dead_letter(fault, stage=str(self), original=message.value))
            return []

    async def _settle(self, unit: Unit) -> None:
        """The transaction, then RocksDB; once begun it is not cancelled."""
        async with self._settling:
            await self._write(unit)

    async def _write(self, unit: Unit) -> None:
        self.marker.count(unit.counts)
        batches = self._frames(unit)
        for record in unit.records:
            topic = self._names.topic(record.topic)
            target = (topic, partition_of(record.key, self._names.partitions))
            batches.setdefault(target, []).append((record.key, record.value, record.headers))
        changes = self._changes(unit)
        for table, writes in changes.items():
            batches[(self._names.changelog(table), self.partition)] = [(k, v, []) for k, v in writes]
        offsets = await self._writer.commit(batches)
        self._at("committed")
        for table, writes in changes.items():
            self.stores[table].apply(writes, offsets[(self._names.changelog(table), self.partition)])
        self.last_progress = time.monotonic()
        self._at("applied")

    def _frames(self, unit: Unit) -> dict[tuple[str, int], list[Entry]]:
        grouped: dict[tuple[str, int], list[bytes]] = {}
        for name, elements in unit.frames.items():
            topic = self._names.topic(name)
            for key, element in elements:
                grouped.setdefault((topic, partition_of(key, self._names.partitions)), []).append(element)
        return {
            target: [self._frame(target, value) for value in split(held, self._frame_bytes)]
            for target, held in grouped.items()
        }

    def _frame(self, target: tuple[str, int], value: bytes) -> Entry:
        stamp = Stamp(str(self), self.marker.next_number(*target))
        return (None, value, stamp.headers())

    def _changes(self, unit: Unit) -> dict[str, list[tuple[bytes, bytes | None]]]:
        changes = {table: list(puts.items()) for table, puts in unit.puts.items() if puts}
        changes.setdefault(self.stage.tables[0], []).append((MARKER_KEY, self.marker.dump()))
        return changes
