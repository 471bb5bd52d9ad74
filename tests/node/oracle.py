"""The oracle: what merge's recorded input must have led to, computed purely, without Kafka's help beyond reading it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from isthmus.agents import merge
from isthmus.codecs.frames import in_turn, turn_of
from isthmus.config.mapping import Mappings
from isthmus.tables.golden import GOLDEN, Golden
from isthmus.tables.stage import Batch
from isthmus.tables.unit import Unit

Published = tuple[str, bytes, bytes, tuple[tuple[str, bytes], ...]]


class Memory:
    """A table in memory."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value."""
        return self.values.get(key)

    def keep(self, puts: Mapping[bytes, bytes | None]) -> None:
        """Make puts durable."""
        for key, value in puts.items():
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = value

    def scan(self, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """By prefix, in order."""
        found = ((key, value) for key, value in self.values.items() if key.startswith(prefix) and key >= start)
        return iter(sorted(found))


async def committed(bootstrap: str, topic: str, partitions: int = 4) -> list[ConsumerRecord]:
    """Every committed record of a topic, each partition in order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False)
    await consumer.start()
    try:
        parts = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        ends = await consumer.end_offsets(parts)
        found: list[ConsumerRecord] = []
        while [part for part in parts if await consumer.position(part) < ends[part]]:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found.extend(records)
        return found
    finally:
        await consumer.stop()


def _done(records: Iterable[ConsumerRecord]) -> Iterator[ConsumerRecord]:
    """A topic's records, a partition's in the order in which they were done."""
    for _, held in groupby(sorted(records, key=_partition), _partition):
        some = list(held)
        yield from in_turn(some, {turn_of(record.headers) for record in some} - {None})


def _partition(record: ConsumerRecord) -> int:
    return record.partition


async def replay(bootstrap: str, namespace: str, mappings: Mappings) -> tuple[list[Published], dict[bytes, Golden]]:
    """The events that a pure replay publishes, and the golden records that it ends with."""
    stage = merge.stage(mappings)
    held = defaultdict[int, dict[str, Memory]](lambda: {table.name: Memory() for table in stage.tables})
    published: list[Published] = []
    for record in _done(await committed(bootstrap, f"{namespace}merge")):
        tables = held[record.partition]
        unit = Unit(tables)
        elements = stage.inputs[0].elements
        assert elements is not None
        stage.fold(unit, [Batch("merge", elements.decode(record.value, "the oracle"))])
        for name, puts in unit.encoded().items():
            tables[name].keep(puts)
        published += [(f"{namespace}{one.topic}", one.key, one.value, tuple(one.headers)) for one in unit.records]
    goldens = (item for tables in held.values() for item in tables[GOLDEN.name].values.items())
    return published, {key: GOLDEN.decode(value) for key, value in goldens}
