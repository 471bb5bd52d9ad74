"""The transactional hand of one stage partition: everything a unit of work holds, in one Kafka transaction.

Promises: opening it fences whoever wrote for this partition before; `commit` returns when all of it is on the broker
and committed, and raises without a trace visible to read-committed readers otherwise. After a raise the process must
not go on: the outcome may be unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from isthmus.node.packing import RECORD_BYTES, Entry, Target
from isthmus.tables.stage import Step, no_step

BATCH_BYTES = 1_000_000
OVERHEAD = 128


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
            sent = [
                (target, await self._send(batch, *target), len(batch))
                for target, entries in batches.items()
                for batch in _chunks(entries)
            ]
            last = {target: (await future).offset + size - 1 for target, future, size in sent}
            self._at("sent")
            await self._producer.commit_transaction()
        return last

    async def _send(self, entries: Sequence[Entry], topic: str, partition: int) -> asyncio.Future[Any]:
        batch = self._producer.create_batch()
        for key, value, headers in entries:
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                raise ValueError(f"{topic}/{partition}: a record of {len(value or b'')} bytes does not fit a batch")
        batch.close()
        future: asyncio.Future[Any] = await self._producer.send_batch(batch, topic, partition=partition)
        return future


def _chunks(entries: Iterable[Entry]) -> Iterable[list[Entry]]:
    """Entries in order, in groups that fit one batch even if nothing compresses."""
    held: list[Entry] = []
    size = 0
    for entry in entries:
        key, value, headers = entry
        weight = OVERHEAD + len(key or b"") + len(value or b"")
        if headers:
            weight += sum(OVERHEAD // 8 + len(name) + len(text) for name, text in headers)
        if held and size + weight > BATCH_BYTES - 1024:
            yield held
            held, size = [], 0
        held.append(entry)
        size += weight
    if held:
        yield held
