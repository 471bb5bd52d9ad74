"""The unit of work on real Kafka and RocksDB: killed, restarted, its disk wiped, and every event counted."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

WORKER = Path(__file__).with_name("frames_worker.py")
TOTAL, KEYS = 20_000, 500


async def start(kafka: str, namespace: str, data: Path, name: str = "one", *words: str) -> asyncio.subprocess.Process:
    """A worker process."""
    arguments = [str(WORKER), kafka, namespace, str(data / name), str(TOTAL), name, *words]
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)


async def committed(kafka: str, topic: str) -> list[list[int]]:
    """Every committed record of a topic, decoded."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed", enable_auto_commit=False)
    await consumer.start()
    try:
        parts = [TopicPartition(topic, p) for p in range(4)]
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        ends = await consumer.end_offsets(parts)
        seen: list[list[int]] = []
        while [p for p in parts if await consumer.position(p) < ends[p]]:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                seen.extend(orjson.loads(record.value) for record in records)
        return seen
    finally:
        await consumer.stop()


async def events_at_least(kafka: str, topic: str, number: int) -> None:
    """Wait until a topic holds so many records, committed or not."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        parts = [TopicPartition(topic, p) for p in range(4)]
        while True:
            try:
                if sum((await consumer.end_offsets(parts)).values()) >= number:
                    return
            except Exception:  # the topic is not there yet
                pass
            await asyncio.sleep(0.05)
    finally:
        await consumer.stop()


@pytest.mark.parametrize("words", [(), ("at-once",)], ids=["stage by stage", "in one transaction"])
@pytest.mark.parametrize("wiped", [False, True], ids=["disk kept", "disk wiped"])
async def test_a_worker_killed_again_and_again_loses_and_repeats_nothing(
    kafka: str, namespace: str, tmp_path: Path, wiped: bool, words: tuple[str, ...]
) -> None:
    chance = random.Random(7)
    for kill in range(3):
        worker = await start(kafka, namespace, tmp_path, "one", *words)
        await asyncio.wait_for(events_at_least(kafka, f"{namespace}events", 1 + kill * TOTAL // 5), 60)
        await asyncio.sleep(chance.random() * 0.5)  # not luck: any moment is as good as another to be killed in
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
        if wiped:
            shutil.rmtree(tmp_path)
    worker = await start(kafka, namespace, tmp_path, "one", *words)
    output, _ = await asyncio.wait_for(worker.communicate(), 90)
    assert output.endswith(b"done\n")

    await exactly_once(kafka, namespace)


@pytest.mark.parametrize("words", [(), ("at-once",)], ids=["stage by stage", "in one transaction"])
async def test_workers_that_come_go_and_die_lose_and_repeat_nothing(
    kafka: str, namespace: str, tmp_path: Path, words: tuple[str, ...]
) -> None:
    first = await start(kafka, namespace, tmp_path, "one", *words)
    await asyncio.wait_for(events_at_least(kafka, f"{namespace}events", TOTAL // 10), 60)
    second = await start(kafka, namespace, tmp_path, "two", *words)
    await asyncio.wait_for(events_at_least(kafka, f"{namespace}events", TOTAL // 3), 60)
    first.send_signal(signal.SIGTERM)
    await asyncio.wait_for(first.wait(), 30)
    await asyncio.wait_for(events_at_least(kafka, f"{namespace}events", TOTAL // 2), 60)
    third = await start(kafka, namespace, tmp_path, "three", *words)
    await asyncio.wait_for(events_at_least(kafka, f"{namespace}events", TOTAL * 2 // 3), 60)
    second.send_signal(signal.SIGKILL)
    await second.wait()
    output, _ = await asyncio.wait_for(third.communicate(), 90)
    assert output.endswith(b"done\n")
    await exactly_once(kafka, namespace)


async def exactly_once(kafka: str, namespace: str) -> None:
    """Every number gave one event, and every key's count is right."""
    events = await committed(kafka, f"{namespace}events")
    assert Counter(number for number, _ in events) == Counter(range(TOTAL))
    last = {number % KEYS: 0 for number, _ in events}
    for number, seen in events:
        last[number % KEYS] = max(last[number % KEYS], seen)
    assert last == dict.fromkeys(range(KEYS), TOTAL // KEYS)
