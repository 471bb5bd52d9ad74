"""A desk to try one stage's function on: tables in memory that keep what a unit put, and what it sent, decoded."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import orjson
from oracle import Memory

from isthmus.codecs.frames import Broken, encode
from isthmus.tables.stage import Batch, Stage
from isthmus.tables.unit import Unit


class Desk:
    """One partition of a stage; `counts` is its part of the ledger."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.tables = {table.name: Memory() for table in stage.tables}
        self.counts: dict[str, dict[str, int]] = {}

    async def work(self, *batches: Batch) -> Unit:
        """One unit of work over elements as they come over the wire, its puts kept; as a lane does it, one by one where
        they cannot be done together."""
        try:
            return await self._work([batch for batch in batches if batch.elements])
        except Exception:
            return await self._work_apart(batches)

    async def _work_apart(self, batches: Sequence[Batch]) -> Unit:
        unit = Unit(self.tables, mapped=self.stage.mapped)
        for batch in batches:
            for element in self.decoded(batch):
                trial = unit.trial()
                try:
                    if isinstance(element, Broken):
                        raise element.fault
                    await self.fold(trial, [Batch(batch.topic, [element])])
                except Exception as fault:
                    self.stage.bury(unit, _raw(element), fault)
                else:
                    unit.adopt(trial)
        self.keep(unit)
        return unit

    def decoded(self, batch: Batch) -> Sequence[Any]:
        """Elements as their topic's frames give them."""
        elements = {one.topic: one.elements for one in self.stage.inputs}.get(batch.topic)
        return batch.elements if elements is None else elements.decode(encode(batch.elements), "here")

    async def fold(self, unit: Unit, batches: Sequence[Batch]) -> None:
        """The stage's own work."""
        result = self.stage.fold(unit, batches)
        if inspect.isawaitable(result):
            await result

    async def _work(self, batches: Sequence[Batch]) -> Unit:
        unit = Unit(self.tables, mapped=self.stage.mapped)
        result = self.stage.fold(unit, [Batch(batch.topic, self.decoded(batch)) for batch in batches])
        if inspect.isawaitable(result):
            await result
        self.keep(unit)
        return unit

    def keep(self, unit: Unit) -> None:
        """Make a unit's puts and counts durable."""
        for table, puts in unit.encoded().items():
            self.tables[table].keep(puts)
        for subject, outcomes in unit.counts.items():
            held = self.counts.setdefault(subject, {})
            for outcome, number in outcomes.items():
                held[outcome] = held.get(outcome, 0) + number


def _raw(element: Any) -> bytes:
    """An element's bytes; of a record that is no frame, its value."""
    if isinstance(element, Broken):
        return element.raw
    value = getattr(element, "value", None)
    return value if isinstance(value, bytes) else encode(element)


def sent(unit: Unit, topic: str) -> list[Any]:
    """What a unit sent to a topic, decoded."""
    found = [element for (name, _), elements in unit.frames.items() if name == topic for element in elements]
    decoded: list[Any] = orjson.loads(encode(found))
    return decoded


def letters(unit: Unit) -> list[dict[str, Any]]:
    """The dead letters of a unit."""
    return [orjson.loads(record.value) for record in unit.records if record.topic == "dead"]


def items(topic: str, *elements: Any) -> Sequence[Batch]:
    """Elements as they arrive, each in a frame of its own."""
    return [Batch(topic, [element]) for element in elements]
