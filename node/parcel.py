"""Parcel: records of one partition of a topic as the batches that Kafka takes, packed as they come, while they are at hand.

Promises: records keep their order; a batch has at most BATCH_BYTES, a larger record one of its own. What a batch says of
its producer is said when it is closed, once.
"""

from __future__ import annotations

import time
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from isthmus.tables.unit import Headers

BATCH_BYTES = 1_000_000
MAGIC = 2
SNAPPY = 2
UNKNOWN = -1


class Parcel:
    """`records`: how many it holds."""

    __slots__ = ("_builders", "_counts", "_now", "records")

    def __init__(self) -> None:
        self.records = 0
        self._builders: list[Any] = []
        self._counts: list[int] = []
        self._now = 0

    def add(self, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Pack one more record."""
        if not self._builders or not self._fits(key, value, headers):
            self._begin()
            self._fits(key, value, headers)
        self._counts[-1] += 1
        self.records += 1

    def _fits(self, key: bytes | None, value: bytes | None, headers: Headers) -> bool:
        return self._builders[-1].append(self._counts[-1], self._now, key, value, headers) is not None

    def _begin(self) -> None:
        self._now = int(time.time() * 1000)
        builder = DefaultRecordBatchBuilder(MAGIC, SNAPPY, 1, UNKNOWN, UNKNOWN, UNKNOWN, BATCH_BYTES)
        self._builders.append(builder)
        self._counts.append(0)

    @property
    def size(self) -> int:
        """Bytes, before they are compressed."""
        return sum([builder.size() for builder in self._builders])

    @property
    def counts(self) -> list[int]:
        """How many records each of its batches has."""
        return self._counts

    def close(self, number: int, producer_id: int, epoch: int, sequence: int) -> bytes:
        """One of its batches as it goes over the wire; what it was packed in is let go."""
        builder, self._builders[number] = self._builders[number], None
        builder.set_producer_state(producer_id, epoch, sequence)
        return bytes(builder.build())
