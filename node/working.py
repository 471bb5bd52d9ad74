"""Working: the unit of work that a stage makes of records, whatever is among them.

Promises: a stage is given all records together; where it cannot do them, one by one, each on a copy of the state, so that
one that cannot be worked on is a dead letter and stops no other, nor what waits in a table for its time. Nothing is
written here, and nothing raised by a stage comes out; a store that cannot be read is nobody's fault who asked, so that
does.
"""

from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import structlog

from isthmus.codecs.frames import Broken, encode
from isthmus.config.errors import DecodeError
from isthmus.node.order import place
from isthmus.node.packing import Encoded, Names, Packing, encoded
from isthmus.tables.newest import Newest
from isthmus.tables.stage import Batch, Stage
from isthmus.tables.store import Store, StoreError
from isthmus.tables.unit import Unit

TICK = "tick"
KEPT = 8192
# A stage that could not look at its table when it wanted to looks again after so long.
AGAIN_SECONDS = 60.0

log = structlog.get_logger()


class Working:
    """Of one lane: its stage over its stores, with the newest values kept at hand."""

    def __init__(self, lane: str, stage: Stage, names: Names, stores: Mapping[str, Store], frame_bytes: int) -> None:
        self._lane = lane
        self._stage = stage
        self._stores = stores
        self._names = names
        self._frame_bytes = frame_bytes
        self._known = {table.name: Newest(KEPT) for table in stage.tables}
        self._topics = {names.topic(one.topic): one for one in stage.inputs}

    def unit(self) -> Unit:
        """A unit with nothing in it."""
        return Unit(self._stores, self._names.partitions, self._known, self._stage.mapped)

    def encoded(self, unit: Unit, packing: Packing | None = None) -> Encoded:
        """A unit in bytes; Oversized where a record of it would fit no topic."""
        return encoded(unit, self._frame_bytes, packing)

    async def done(self, events: Sequence[Any], *, tick: bool) -> tuple[Unit, Encoded]:
        """The unit that these records (and the time, with `tick`) lead to."""
        try:
            return await self.together(events, tick=tick)
        except StoreError:
            raise
        except Exception as fault:
            log.warning("a unit of work is done again, one by one", lane=self._lane, fault=repr(fault))
        unit = await self._apart(events, tick=tick)
        return unit, self.encoded(unit)

    async def together(self, events: Sequence[Any], *, tick: bool = False) -> tuple[Unit, Encoded]:
        """The same, or what the stage raises; then nothing has happened."""
        unit, packing = self.unit(), Packing(self._names, self._frame_bytes)
        try:
            for batches in self._portions(events, unit, tick=tick):
                await self._run(unit, batches)
                packing.take(unit)
            return unit, self.encoded(unit, packing)
        except Exception:
            self.forget()
            raise

    def _portions(self, events: Sequence[Any], unit: Unit, *, tick: bool) -> Iterator[Sequence[Batch]]:
        """What a stage is given at once: all, so that it can ask others for it together; of one that asks nobody, frame
        after frame, so that what was decoded is forgotten while it is still at hand."""
        ticks = [Batch(TICK, [time.time()])] if tick else []
        batches = itertools.chain(self._batches(events, unit), ticks)
        if self._stage.at_once:
            yield from ([batch] for batch in batches)
        else:
            yield list(batches)

    async def _apart(self, events: Sequence[Any], *, tick: bool) -> Unit:
        unit = self.unit()
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
            self.encoded(trial)
        except StoreError:
            raise
        except Exception as fault:
            self._stage.bury(unit, _raw(element), fault)
            if self._stage.ticks:  # it did not come to saying when it has to look at what waits
                unit.due = time.time() + (AGAIN_SECONDS if topic == TICK else 0.0)
        else:
            unit.adopt(trial)

    async def _run(self, unit: Unit, batches: Sequence[Batch]) -> None:
        result = self._stage.fold(unit, batches)
        if inspect.isawaitable(result):
            await result

    def _batches(self, events: Sequence[Any], unit: Unit) -> Iterator[Batch]:
        for event in events:
            message = event.message
            unit.place = place(message)
            input_ = self._topics[message.topic]
            if input_.elements is None:
                yield Batch(input_.topic, [message])
                continue
            value = message.value or b""  # a stranger's may be null
            try:
                found = input_.elements.decode(value, unit.place)
            except DecodeError as fault:
                self._stage.bury(unit, value, fault)
                continue
            if Broken in map(type, found):
                found = self._whole(unit, found)
            yield Batch(input_.topic, found)
        unit.place = ""

    def _whole(self, unit: Unit, elements: Sequence[Any]) -> list[Any]:
        for broken in (one for one in elements if isinstance(one, Broken)):
            self._stage.bury(unit, broken.raw, broken.fault)
        return [one for one in elements if not isinstance(one, Broken)]

    def forget(self) -> None:
        """What was decoded may have been changed by work that came to nothing."""
        for table in self._stage.tables:
            if not table.as_bytes:
                self._known[table.name].clear()

    def remember(self, unit: Unit, parts: Encoded) -> None:
        """Keep the newest values at hand; the unit is durable."""
        for table in self._stage.tables:
            puts = parts.puts if table.as_bytes else unit.puts
            if values := puts.get(table.name):
                self._known[table.name].keep(values)


def _raw(element: Any) -> bytes:
    """An element's bytes; of a record that is no frame, its value."""
    value = getattr(element, "value", element)
    return value or b"" if value is None or isinstance(value, bytes) else encode(element)
