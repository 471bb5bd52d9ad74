"""The transactional hand of one stage partition: everything a unit of work holds, in one Kafka transaction.

Promises: opening it fences whoever wrote for this partition before; `commit` returns when all of it is on the broker
and committed, and raises without a trace visible to read-committed readers otherwise. After a raise the process must
not go on: the outcome may be unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from isthmus.node.packing import RECORD_BYTES, Entry, Target
from isthmus.tables.stage import Step, no_step

BATCH_BYTES = 1_000_000
Sent = tuple[asyncio.Future[Any], int]


class Writer:
    """One transactional producer; `transactional_id` names the stage partition it writes for."""

    def __init__(self, bootstrap: str, transactional_id: str, deadline: float = 30.0, at: Step = no_step) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            transactional_id=transactional_id,
            max_batch_size=BATCH_BYTES,
            max_request_size=RECORD_BYTES + (64 << 10),
            # aiokafka's lz4 is LZ4-HC at level 9, 65 MB/s on a machine where snappy does 850 (bench/compression.py).
            compression_type="snappy",
            transaction_timeout_ms=60_000,
            request_timeout_ms=int(deadline * 1000),
        )
        self._deadline = deadline
        self._at = at

    async def open(self) -> None:
        """Connect and fence."""
        await self._producer.start()

    async def close(self) -> None:
        """Give the connection back; an unfinished transaction is aborted by the broker or the next owner."""
        await self._producer.stop()

    async def commit(self, batches: Mapping[Target, Sequence[Entry]]) -> dict[Target, int]:
        """Write these entries in one transaction; the offset of the last entry per (topic, partition)."""
        async with asyncio.timeout(self._deadline):
            await self._producer.begin_transaction()
            self._at("begun")
            sent = {target: await self._send(entries, *target) for target, entries in batches.items()}
            last = {target: await _last_offset(batches_sent) for target, batches_sent in sent.items()}
            self._at("sent")
            await self._producer.commit_transaction()
        return last

    async def _send(self, entries: Sequence[Entry], topic: str, partition: int) -> list[Sent]:
        """Send entries in order, in as few batches as they fit into."""
        sent: list[Sent] = []
        batch = self._producer.create_batch()
        for key, value, headers in entries:
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                sent.append(await self._send_batch(batch, topic, partition))
                batch = self._producer.create_batch()
                batch.append(key=key, value=value, timestamp=None, headers=headers)  # the first one always fits
        sent.append(await self._send_batch(batch, topic, partition))
        return sent

    async def _send_batch(self, batch: Any, topic: str, partition: int) -> Sent:
        batch.close()
        return await self._producer.send_batch(batch, topic, partition=partition), batch.record_count()


async def _last_offset(sent: Sequence[Sent]) -> int:
    """The offset of the last record, once all of them are on the broker."""
    last = -1
    for future, records in sent:
        last = (await future).offset + records - 1
    return last
