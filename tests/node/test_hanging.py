"""A Kafka that is killed finishes what it promised; one that would not is warned of, and given up (docs/adr/0007)."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chaos.broker import Broker
from isthmus.node import recovery
from isthmus.node.features import FORGETS_COMMITS, METADATA, advise, commits_may_hang, supported
from isthmus.node.packing import Cargo
from isthmus.node.recovery import HangingTransaction, recover
from isthmus.node.transaction import Transactions
from isthmus.node.writer import Writer
from isthmus.tables.store import Store, shared_cache

TOPICS = [f"held-{number}" for number in range(12)]
PARTITIONS = [TopicPartition(topic, partition) for topic in TOPICS for partition in range(4)]
WRITERS, AT_ONCE, COMMITS, KILLS = 3, 4, 400, 3


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    broker = Broker(tmp_path)
    await broker.start()
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 4, 1) for topic in TOPICS])
    await admin.close()
    yield broker
    await broker.stop()


class Load:
    """Writers that commit without pause, until they end."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self._chance = random.Random(name)
        self._writers = [Writer(bootstrap, f"{name}-{number}") for number in range(WRITERS)]
        self._enough = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._done = 0

    async def until_enough(self) -> None:
        """Returns when COMMITS are done, with more under way."""
        for writer in self._writers:
            await writer.open()
        self._tasks = [asyncio.create_task(self._write(writer)) for writer in self._writers for _ in range(AT_ONCE)]
        await self._enough.wait()

    async def _write(self, writer: Writer) -> None:
        while True:
            some = self._chance.sample(PARTITIONS, self._chance.randint(2, 6))
            size = self._chance.randint(10, 3000)
            await writer.commit(
                Cargo({(where.topic, where.partition): [(b"key", b"v" * size, [])] * 20 for where in some})
            )
            self._done += 1
            if self._done >= COMMITS:
                self._enough.set()

    async def end(self) -> list[str]:
        """End as a killed process does, without goodbye; the names that have to be fenced now."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            with contextlib.suppress(Exception):
                await writer.close()
        return [name for writer in self._writers for name in writer.names]


async def ends(bootstrap: str, isolation: str) -> dict[TopicPartition, int]:
    """Where a reader of this isolation level comes to."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation, enable_auto_commit=False)
    await consumer.start()
    try:
        found: dict[TopicPartition, int] = await consumer.end_offsets(PARTITIONS)
        return found
    finally:
        await consumer.stop()


async def open_transactions(bootstrap: str) -> set[TopicPartition]:
    """The partitions that hold records of a transaction that has not come to its end."""
    committed, everything = await ends(bootstrap, "read_committed"), await ends(bootstrap, "read_uncommitted")
    return {where for where in PARTITIONS if committed[where] != everything[where]}


async def test_a_kafka_that_was_killed_finishes_the_commits_it_promised(broker: Broker) -> None:
    for number in range(KILLS):
        load = Load(broker.bootstrap, f"load-{number}")
        await load.until_enough()
        await broker.kill()
        names = await load.end()
        await broker.start()
        successor = Writer(broker.bootstrap, f"successor-{number}")
        await successor.open()
        await successor.fence(names)
        await successor.close()
        async with asyncio.timeout(20):
            while await open_transactions(broker.bootstrap):
                await asyncio.sleep(0.1)


def test_a_kafka_that_forgets_commits_is_known_by_what_its_software_can_do() -> None:
    assert commits_may_hang({METADATA: FORGETS_COMMITS})
    assert not commits_may_hang({METADATA: FORGETS_COMMITS - 1})
    assert not commits_may_hang({})


async def test_nothing_is_to_be_said_of_the_local_kafka(kafka: str) -> None:
    assert await advise(kafka) is None
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    assert (await supported(admin))[METADATA] > 0
    await admin.close()


async def test_a_table_behind_a_transaction_that_stays_open_is_given_up_loudly(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "HANGING_SECONDS", 0.5)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic("open-log", 1, 1)])
    await admin.close()
    begun = asyncio.Event()
    writer = Transactions(kafka, "never-ends", lambda step: begun.set() if step == "begun" else None)
    await writer.open()
    monkeypatch.setattr(writer, "_end", asyncio.Event().wait)
    writing = asyncio.create_task(writer.run(Cargo({("open-log", 0): [(b"key", b"value", [])]})))
    await begun.wait()
    store = Store(tmp_path / "store", shared_cache(1 << 20))
    with pytest.raises(HangingTransaction, match="open-log/0 at 0"):
        await recover(kafka, {("open-log", 0): store}, {("open-log", 0): 0})
    store.close()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await writer.close()
