"""The oracle: the whole node in memory, without Kafka, fed with every delivery in order.

Run as `python -m chaos.oracle SEED NUMBER FILE` it writes what it comes to into a file, beside the run and at a low
priority. Promises: the stages are the node's own, each unit's outputs are passed on until nothing is under way; what it
ends with is what a node must end with, however its work was cut and interleaved.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from chaos.feed import Feed
from chaos.generator import MAPPINGS, SYSTEMS, deliveries
from isthmus.agents import source
from isthmus.config.settings import Kafka, NodeSettings, Settings
from isthmus.node.app import stages
from isthmus.tables.golden import GOLDEN, Golden
from isthmus.tables.stage import Batch, Stage
from isthmus.tables.unit import Unit

CHUNK = 500
NICE = 10
Native = tuple[str, str]


class Memory:
    """A table in memory."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value."""
        return self.values.get(key)

    def scan(self, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """By prefix, in order."""
        found = ((key, value) for key, value in self.values.items() if key.startswith(prefix) and key >= start)
        return iter(sorted(found))

    def apply(self, puts: dict[bytes, bytes | None]) -> None:
        """Take a unit's puts over."""
        for key, value in puts.items():
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = value


@dataclass(frozen=True)
class Truth:
    """`golden` by canonical id; `received` by "system/entity"."""

    golden: dict[str, Golden]
    received: dict[str, int]


class Node:
    """All stages, all tables, and what is under way."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        settings = Settings(kafka=Kafka(url="nowhere:1"), node=NodeSettings(http_port=1))
        self._stages = stages(settings, MAPPINGS, feeds, {})
        self._tables = {table.name: Memory() for stage in self._stages for table in stage.tables}
        self._waiting: dict[str, list[Any]] = defaultdict(list)
        self.counts: dict[str, dict[str, int]] = {}

    async def take(self, system: str, told: Sequence[Any]) -> None:
        """Take deliveries in and see everything through that follows."""
        unit = Unit(self._tables)
        source.record(unit, system, MAPPINGS, told)
        self._keep(unit)
        while any(self._waiting.values()):
            for stage in self._stages:
                await self._work(stage)

    async def _work(self, stage: Stage) -> None:
        batches = [Batch(name, told) for name in stage.topics if (told := self._waiting.pop(name, None))]
        if batches:
            unit = Unit(self._tables)
            result = stage.fold(unit, batches)
            if inspect.isawaitable(result):
                await result
            self._keep(unit)

    def _keep(self, unit: Unit) -> None:
        for table, puts in unit.encoded().items():
            self._tables[table].apply(puts)
        for (topic, _), elements in unit.frames.items():
            self._waiting[topic] += elements
        for subject, outcomes in unit.counts.items():
            held = self.counts.setdefault(subject, {})
            for outcome, number in outcomes.items():
                held[outcome] = held.get(outcome, 0) + number

    def golden(self) -> dict[bytes, bytes]:
        """Every golden record, as it is stored."""
        return self._tables["golden"].values

    def received(self) -> dict[str, int]:
        """By "system/entity"; without the answers to what was asked for: what is asked depends on who is known when."""
        return {subject: counts.get("received", 0) - counts.get("reread", 0) for subject, counts in self.counts.items()}


async def played(seed: int, number: int, chunk: int = CHUNK, order: Sequence[str] = SYSTEMS) -> Node:
    """A node that has taken in `number` deliveries of each system."""
    told = {system: deliveries(system, seed, number) for system in order}
    node = Node([Feed(one, lambda: 0) for one in told.values()])
    for start in range(0, number, chunk):
        for system, stream in told.items():
            await node.take(system, stream[start : start + chunk])
    return node


async def truth(seed: int, number: int, chunk: int = CHUNK, order: Sequence[str] = SYSTEMS) -> Truth:
    """What `number` deliveries of each system must lead to; `chunk` and `order` must not matter."""
    node = await played(seed, number, chunk, order)
    return Truth({key.decode(): GOLDEN.decode(raw) for key, raw in node.golden().items()}, node.received())


# -- as a process of its own


@dataclass(frozen=True)
class Written:
    """The truth in a file: a line with what was received, then a line a golden record."""

    file: Path

    @property
    def received(self) -> dict[str, int]:
        """By "system/entity"; without the answers to what was asked for: what is asked depends on who is known when."""
        with self.file.open("rb") as lines:
            told: dict[str, int] = orjson.loads(next(lines))
            return told

    def golden(self) -> Iterator[Golden]:
        """Every golden record, one at a time."""
        with self.file.open("rb") as lines:
            next(lines)
            for line in lines:
                yield GOLDEN.decode(line)


def write(seed: int, number: int, file: Path) -> None:
    """Put the truth in a file; it is there when it is whole."""
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    node = asyncio.run(played(seed, number))
    part = file.with_suffix(".part")
    with part.open("wb") as lines:
        lines.write(orjson.dumps(node.received()) + b"\n")
        lines.writelines(raw + b"\n" for raw in node.golden().values())
    os.replace(part, file)


def main() -> None:
    """As the command line says."""
    os.nice(NICE)
    write(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))


def by_natives(golden: dict[str, Golden]) -> dict[frozenset[Native], tuple[dict[str, Any], dict[str, Any]]]:
    """Each golden record under its native records, whatever it is called: visible values, those that point at another one
    as its native records, and links."""
    natives = {name: frozenset((s, n) for s, held in one.links.items() for n in held) for name, one in golden.items()}
    found = {}
    for name, one in golden.items():
        pointing = MAPPINGS.entities[one.entity].references
        values = {f: natives[str(v)] if f in pointing and v is not None else v for f, v in one.values().items()}
        found[natives[name]] = (values, one.links)
    return found


if __name__ == "__main__":
    main()
