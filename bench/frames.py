"""The benchmark's input as Isthmus's own source writes it: the same changes, in frames on `changes.salesforce`.

Promises: the order within a record is that of bench/changes.py; a frame holds what a source's unit of 500 leaves for one
of four partitions.
"""

from __future__ import annotations

from collections.abc import Iterator

from changes import changes
from common import create_topic
from confluent_kafka import Producer

from isthmus.codecs.frames import Stamp
from isthmus.tables.unit import partition_of

PER_FRAME = 125


def frames(total: int, records: int, seed: int, partitions: int) -> Iterator[tuple[int, bytes, Stamp]]:
    """Partition, frame and stamp."""
    waiting: list[list[bytes]] = [[] for _ in range(partitions)]
    numbers = [0] * partitions
    for key, value in changes(total, records, seed):
        partition = partition_of(key, partitions)
        waiting[partition].append(value)
        if len(waiting[partition]) == PER_FRAME:
            yield partition, _frame(waiting[partition]), Stamp(f"bench-{partition}", numbers[partition])
            numbers[partition] += 1
            waiting[partition] = []
    for partition, rest in enumerate(waiting):
        if rest:
            yield partition, _frame(rest), Stamp(f"bench-{partition}", numbers[partition])


def _frame(values: list[bytes]) -> bytes:
    return b"[" + b",".join(values) + b"]"


def prepare_frames(
    bootstrap: str, topic: str, total: int = 200_000, records: int = 20_000, partitions: int = 4, seed: int = 1
) -> None:
    """Create the topic and write every change to it."""
    create_topic(bootstrap, topic, partitions)
    producer = Producer(
        {"bootstrap.servers": bootstrap, "compression.type": "lz4", "linger.ms": 50, "enable.idempotence": True}
    )
    for partition, frame, stamp in frames(total, records, seed, partitions):
        while True:
            try:
                producer.produce(topic, frame, partition=partition, headers=list(stamp.headers()))
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush()
