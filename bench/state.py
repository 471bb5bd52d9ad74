"""A node's state of any size, made at once: golden records on their changelog, and changes of them on `merge`.

Promises: every record is one that the fold made of a record's first change, under another key; keys are spread over
partitions as the node spreads them. The records are copies of a few hundred originals, so ten millions take minutes, not
hours; that compresses better than life does, which helps Kafka's disk and the network, not the node.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

from changes import fresh_change
from confluent_kafka import Producer

from isthmus.agents.intake import canonical_change
from isthmus.codecs.arrival import Arrival
from isthmus.codecs.change import Change
from isthmus.codecs.frames import Stamp, encode
from isthmus.codecs.linked import Linked
from isthmus.config.mapping import EntityMapping, load_mappings
from isthmus.tables.fold import fold
from isthmus.tables.unit import partition_of

PATTERNS = 500
PER_FRAME = 125
CANONICAL, NATIVE = "#" * 36, "001Qy##########IAZ"  # as long as the ids that take their places


def canonical(number: int) -> str:
    """The canonical id of the record of that number: in no order, like ours."""
    told = hashlib.md5(b"%d" % number, usedforsecurity=False).hexdigest()
    return f"{told[:8]}-{told[8:12]}-{told[12:16]}-{told[16:20]}-{told[20:]}"


def native(number: int) -> str:
    """Its Salesforce id."""
    return f"001Qy{number:010d}IAZ"


def _mapping() -> EntityMapping:
    return load_mappings().joining(["salesforce"]).entities["account"]


def _linked(change: Change, mapping: EntityMapping, key: str) -> Linked:
    return canonical_change(Arrival(change, correlation=change.change_id), mapping, key)


def records(keys: int, seed: int = 1) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each golden record."""
    rng, mapping = random.Random(seed), _mapping()
    patterns = []
    for number in range(PATTERNS):
        first = _linked(fresh_change(number, number, rng, all_fields=True), mapping, CANONICAL)
        told = encode(fold(None, first, mapping).state).decode()
        patterns.append(told.replace(native(number), NATIVE))
    for number in range(keys):
        key = canonical(number)
        value = patterns[number % PATTERNS].replace(CANONICAL, key).replace(NATIVE, native(number))
        yield key.encode(), value.encode()


def frames(total: int, keys: int, partitions: int, seed: int = 2) -> Iterator[tuple[int, bytes, Stamp]]:
    """Changes of records taken at random, as intake sends them on: partition, frame and stamp."""
    rng, mapping = random.Random(seed), _mapping()
    waiting: list[list[Linked]] = [[] for _ in range(partitions)]
    numbers = [0] * partitions
    for turn in range(total):
        number = rng.randrange(keys)
        key = canonical(number)
        partition = partition_of(key.encode(), partitions)
        waiting[partition].append(_linked(fresh_change(PATTERNS + turn, number, rng), mapping, key))
        if len(waiting[partition]) == PER_FRAME or turn >= total - partitions * PER_FRAME:
            yield partition, encode(waiting[partition]), Stamp(f"state-{partition}", numbers[partition])
            numbers[partition] += 1
            waiting[partition] = []
    for partition, rest in enumerate(waiting):
        if rest:
            yield partition, encode(rest), Stamp(f"state-{partition}", numbers[partition])


class Filler:
    """Writes to Kafka as fast as it takes it."""

    def __init__(self, bootstrap: str) -> None:
        settings = {"bootstrap.servers": bootstrap, "compression.type": "lz4", "linger.ms": 50}
        self._producer = Producer({**settings, "queue.buffering.max.kbytes": 262_144, "enable.idempotence": True})

    def changelog(self, topic: str, partitions: int, keys: int) -> Iterator[int]:
        """Every golden record; says how many now and then."""
        for number, (key, value) in enumerate(records(keys), 1):
            self._put(topic, partition_of(key, partitions), value, key=key)
            if number % 10_000 == 0:
                yield number
        self._flush()

    def merge(self, topic: str, partitions: int, keys: int, total: int) -> None:
        """So many changes of them."""
        for partition, frame, stamp in frames(total, keys, partitions):
            self._put(topic, partition, frame, headers=list(stamp.headers()))
        self._flush()

    def _put(
        self,
        topic: str,
        partition: int,
        value: bytes,
        key: bytes | None = None,
        headers: list[tuple[str, str | bytes | None]] | None = None,
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition=partition, headers=headers)
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(0.1)

    def _flush(self) -> None:
        if left := self._producer.flush(120):
            raise RuntimeError(f"{left} records did not reach Kafka")
