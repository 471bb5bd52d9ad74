"""A desk to try one stage's function on: tables in memory that keep what a unit put, and what it sent, decoded."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import orjson
from oracle import Memory

from isthmus.tables.stage import Item, Stage, Unit


class Desk:
    """One partition of a stage; `counts` is its part of the ledger."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.tables = {table: Memory() for table in stage.tables}
        self.counts: dict[str, dict[str, int]] = {}

    async def work(self, *items: Item) -> Unit:
        """One unit of work, its puts kept."""
        unit = Unit(self.tables)
        result = self.stage.fold(unit, items)
        if inspect.isawaitable(result):
            await result
        self.keep(unit)
        return unit

    def keep(self, unit: Unit) -> None:
        """Make a unit's puts and counts durable."""
        for table, puts in unit.puts.items():
            for key, value in puts.items():
                if value is None:
                    self.tables[table].values.pop(key, None)
                else:
                    self.tables[table].values[key] = value
        for subject, outcomes in unit.counts.items():
            held = self.counts.setdefault(subject, {})
            for outcome, number in outcomes.items():
                held[outcome] = held.get(outcome, 0) + number


def sent(unit: Unit, topic: str) -> list[Any]:
    """What a unit sent to a topic, decoded."""
    return [orjson.loads(element) for _, element in unit.frames.get(topic, ())]


def letters(unit: Unit) -> list[dict[str, Any]]:
    """The dead letters of a unit."""
    return [orjson.loads(record.value) for record in unit.records if record.topic == "dead"]


def items(topic: str, *elements: Any) -> Sequence[Item]:
    """Elements as they arrive."""
    return [Item(topic, orjson.loads(orjson.dumps(element))) for element in elements]
