"""A node's stages over several partitions in memory, each at its own pace: whose turn it is, chance decides from a seed.

What a lane does, it does as in the runtime: the elements of a topic's partition in order, a unit of work at a time, its
outputs at the end of the partitions that they are for. Writes are carried out and answered, and change nothing.
"""

from __future__ import annotations

import inspect
import random
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from oracle import Memory

from isthmus.codecs.arrival import Arrival, native_key
from isthmus.codecs.change import Change
from isthmus.codecs.frames import encode
from isthmus.config.errors import PlatformError
from isthmus.config.mapping import Mappings
from isthmus.config.settings import Kafka, NodeSettings, Settings
from isthmus.node.app import stages
from isthmus.systems.protocol import Delivery, Finding, Row, Write, Written
from isthmus.tables.golden import GOLDEN, Golden
from isthmus.tables.stage import Batch, Stage
from isthmus.tables.unit import Unit, partition_of

MOST = 4


class Answering:
    """A platform that carries out every write; what it was asked to make is under `made`. `merged`: records
    that people merged into others there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.made: list[str] = []
        self.merged: dict[str, str] = {}
        self.written: list[Write] = []

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def changes(self, position: str | None) -> AsyncIterator[Delivery]:
        """What happens is put into the world by the test."""
        for nothing in ():
            yield nothing

    async def read(self, object: str, record_ids: Sequence[str]) -> list[Row]:
        """No record is there any more; some were merged into others."""
        return [Row(one, False, {}, merged_into=self.merged.get(one)) for one in record_ids]

    async def scan(self, object: str, since: str | None = None) -> AsyncIterator[Row]:
        """Nothing here asks for all."""
        for nothing in ():
            yield nothing

    async def write(self, writes: Sequence[Write]) -> list[Written | PlatformError]:
        """Carried out; a record that is new is named after its external id."""
        return [self._write(one) for one in writes]

    def _write(self, write: Write) -> Written:
        self.written.append(write)
        if write.record_id is None:
            self.made.append(f"made-{write.external_id}")
        return Written(write.record_id or self.made[-1], None, created=write.record_id is None)

    async def check(self) -> list[Finding]:
        """Nothing to find."""
        return []

    async def provision(self, apply: bool) -> list[Finding]:
        """Nothing to make."""
        return []


class Partitions:
    """`seed` decides the pace of each lane; `counts` is the ledger."""

    def __init__(
        self, mappings: Mappings, seed: int, partitions: int = 3, systems: Sequence[Answering] | None = None
    ) -> None:
        self.chance = random.Random(seed)
        self.partitions = partitions
        self.systems = {one.name: one for one in systems or [Answering("salesforce"), Answering("dynamics")]}
        settings = Settings(kafka=Kafka(url="nowhere:1"), node=NodeSettings(http_port=1, partitions=partitions))
        self._stages = stages(settings, mappings, list(self.systems.values()), {})
        self._tables: dict[tuple[str, int], Memory] = defaultdict(Memory)
        self._logs: dict[tuple[str, int], deque[Any]] = defaultdict(deque)
        self.counts: dict[str, dict[str, int]] = {}
        self.letters: list[bytes] = []
        self.events: list[tuple[str, str]] = []

    async def run(self, streams: Iterable[Sequence[Change]]) -> None:
        """Let all of it happen, each stream in its order, until nothing is under way."""
        waiting = [deque(stream) for stream in streams if stream]
        while waiting or self._busy():
            if waiting and self.chance.random() < 0.3:
                stream = self.chance.choice(waiting)
                self._tell(stream.popleft())
                waiting = [one for one in waiting if one]
            else:
                await self.step()

    async def step(self) -> bool:
        """Some lane's next unit of work; False where nothing is under way."""
        busy = self._busy()
        if busy:
            await self._work(*self.chance.choice(busy))
        return bool(busy)

    def say(self, *words: Any) -> None:
        """What was matched, or a person says."""
        self._log("identities", b"customer").extend(words)

    def hear(self, topic: str, key: bytes, *elements: Any) -> None:
        """What comes by a topic."""
        self._log(topic, key).extend(elements)

    def _tell(self, change: Change) -> None:
        key = native_key(change.system, change.record_id)
        self._log(f"changes.{change.system}", key).append(Arrival(change, change.change_id))

    def _log(self, topic: str, key: bytes) -> deque[Any]:
        return self._logs[topic, partition_of(key, self.partitions)]

    def _busy(self) -> list[tuple[Stage, str, int]]:
        return [
            (stage, topic, partition)
            for stage in self._stages
            for topic in stage.topics
            for partition in range(self.partitions)
            if self._logs[topic, partition]
        ]

    async def _work(self, stage: Stage, topic: str, partition: int) -> None:
        log = self._logs[topic, partition]
        taken = [log.popleft() for _ in range(min(len(log), self.chance.randint(1, MOST)))]
        elements = next(one.elements for one in stage.inputs if one.topic == topic)
        assert elements is not None
        tables = {table.name: self._tables[table.name, partition] for table in stage.tables}
        unit = Unit(tables, self.partitions, mapped=stage.mapped)
        result = stage.fold(unit, [Batch(topic, elements.decode(encode(taken), topic))])
        if inspect.isawaitable(result):
            await result
        self._keep(unit, partition)

    def _keep(self, unit: Unit, partition: int) -> None:
        for table, puts in unit.encoded().items():
            self._tables[table, partition].keep(puts)
        for way, told in unit.frames.items():
            self._logs[way].extend(told)
        self.letters += [record.value for record in unit.records if record.topic == "dead"]
        self.events += [
            (record.key.decode(), dict(record.headers)["ce_type"].decode())
            for record in unit.records
            if record.topic.startswith("events.")
        ]
        for subject, outcomes in unit.counts.items():
            held = self.counts.setdefault(subject, {})
            for outcome, number in outcomes.items():
                held[outcome] = held.get(outcome, 0) + number

    # -- what it came to

    def golden(self) -> dict[str, Golden]:
        """Every golden record that is one."""
        found = [
            GOLDEN.decode(raw)
            for (table, _), held in list(self._tables.items())
            if table == "golden"
            for raw in held.values.values()
        ]
        return {one.canonical: one for one in found if one.redirect is None}

    def rows(self, table: str) -> dict[bytes, bytes]:
        """All that a table holds."""
        return {k: v for (name, _), held in self._tables.items() if name == table for k, v in held.values.items()}
