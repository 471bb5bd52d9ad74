"""Recovery: bring table partitions up to the end of their changelogs.

Promises: reads committed records only; ends when every store holds everything that was committed before it began,
control records at the end of a changelog included (Faust's own recovery waits on those: docs/adr/0002).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from aiokafka import AIOKafkaConsumer, TopicPartition

from isthmus.config.errors import IsthmusError
from isthmus.tables.store import Store

POLL_SECONDS = 0.01
HANGING_SECONDS = 120.0  # twice the time limit of our transactions (node/transaction.py)
MARKED_SECONDS = 20.0  # a transaction is committed a little before readers may see it


class HangingTransaction(IsthmusError):
    """Kafka holds a transaction open beyond any time limit, and nobody may read past it."""

    code = "HANGING"
    retryable = True
    hint = "kafka-transactions.sh find-hanging shows it; docs/safety.md says how it is ended"


class ChangelogLost(IsthmusError):
    """A changelog does not hold any more what was committed to it."""

    code = "CHANGELOG_LOST"
    hint = "restore the topic from a backup; or, to go on with what Kafka holds, delete this worker's data folder"


Beyond = Mapping[tuple[str, int], int]


async def recover(
    bootstrap: str, stores: Mapping[tuple[str, int], Store], beyond: Beyond = MappingProxyType({})
) -> int:
    """Read each changelog (topic, partition) from its store's position to its end; the number of records applied.

    An end is where it is committed to now; for those in `beyond`, once the offset named there is committed (which waits
    for transactions that were open before it, a fenced writer's never). Raises HangingTransaction where that takes longer
    than any transaction may.
    """
    if not stores:
        return 0
    consumer = changelog_reader(bootstrap)
    await consumer.start()
    try:
        wanted = {TopicPartition(*where): store for where, store in stores.items()}
        return await _read(consumer, wanted, {TopicPartition(*where): offset for where, offset in beyond.items()})
    finally:
        await consumer.stop()


def changelog_reader(bootstrap: str) -> AIOKafkaConsumer:
    """A consumer of committed changelog records."""
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 << 20,
        fetch_max_wait_ms=50,
    )


async def extents(bootstrap: str, logs: Iterable[tuple[str, int]]) -> dict[tuple[str, int], range]:
    """What each (topic, partition) holds now: from its first offset to the one after its last committed record."""
    if not (wanted := [TopicPartition(*where) for where in logs]):
        return {}  # aiokafka would wait for ever
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False)
    await consumer.start()
    try:
        starts, ends = await consumer.beginning_offsets(wanted), await consumer.end_offsets(wanted)
        return {(where.topic, where.partition): range(starts[where], ends[where]) for where in wanted}
    finally:
        await consumer.stop()


async def _read(
    consumer: AIOKafkaConsumer, stores: Mapping[TopicPartition, Store], beyond: Mapping[TopicPartition, int]
) -> int:
    await seek_to(consumer, stores)
    ends = await _ends_beyond(consumer, stores, beyond)
    for where, store in stores.items():
        if store.position is not None and ends[where] <= store.position:
            await _still_there(consumer, where, store)
            ends |= await consumer.end_offsets([where])
    waiting = {where for where in stores if await consumer.position(where) < ends[where]}
    applied = 0
    while waiting:
        for where, records in (await consumer.getmany(*waiting, timeout_ms=100, max_records=5000)).items():
            stores[where].apply({r.key: r.value for r in records}, records[-1].offset)
            applied += len(records)
        waiting = {where for where in waiting if await consumer.position(where) < ends[where]}
    return applied


async def _ends_beyond(
    consumer: AIOKafkaConsumer, logs: Iterable[TopicPartition], beyond: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    begun = time.monotonic()
    while True:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(list(logs))
        held = [where for where, offset in beyond.items() if ends[where] <= offset]
        if not held:
            return ends
        if time.monotonic() - begun > HANGING_SECONDS:
            places = ", ".join(f"{where.topic}/{where.partition} at {ends[where]}" for where in held)
            raise HangingTransaction(f"a transaction is open for longer than any may be: {places}")
        await asyncio.sleep(POLL_SECONDS)


async def _still_there(consumer: AIOKafkaConsumer, where: TopicPartition, store: Store) -> None:
    """What the store holds was committed once; a changelog that ends before it, and goes on to, is another one."""
    begun = time.monotonic()
    while store.position is not None and (end := (await consumer.end_offsets([where]))[where]) <= store.position:
        if time.monotonic() - begun > MARKED_SECONDS:
            raise ChangelogLost(
                f"{where.topic}/{where.partition} ends at {end}, but this worker holds it up to {store.position}: it was"
                " deleted or made anew, and what all workers know may be lost"
            )
        await asyncio.sleep(POLL_SECONDS)


async def seek_to(consumer: AIOKafkaConsumer, stores: Mapping[TopicPartition, Store]) -> None:
    """Let the consumer read each changelog from its store's position on."""
    consumer.assign(list(stores))
    starts = await consumer.beginning_offsets(list(stores))
    for where, store in stores.items():
        consumer.seek(where, starts[where] if store.position is None else max(starts[where], store.position + 1))
