"""Faust's consumer as ours differs from it, on real Kafka: committed records only, all of them, many at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from faust.types import TP

from isthmus.node.topics import Topics, create
from isthmus.node.transport import App, Fetched
from isthmus.tables.stage import Input, Stage

TRANSACTIONS, ABORTED = 60, 7


@dataclass
class Ear:
    """What one agent heard: by message, the numbers in its records; and the messages themselves."""

    app: Any
    where: TP
    messages: list[list[int]] = field(default_factory=list)
    fetched: list[Fetched] = field(default_factory=list)

    def numbers(self) -> list[int]:
        """Of all messages."""
        return [number for message in self.messages for number in message]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for the world outside."""
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.02)


def tell(kafka: str, topic: str) -> None:
    """One record a transaction; one of them is aborted."""
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": topic})
    producer.init_transactions(30)
    for number in range(TRANSACTIONS):
        producer.begin_transaction()
        producer.produce(topic, str(number).encode(), partition=0)
        if number == ABORTED:
            producer.flush()
            producer.abort_transaction()
        else:
            producer.commit_transaction()


@asynccontextmanager
async def listening(kafka: str, namespace: str, folder: Path) -> AsyncIterator[Ear]:
    topic = f"{namespace}told"
    app = App(
        f"{namespace}ear",
        broker=f"kafka://{kafka}",
        store="memory://",
        datadir=str(folder),
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=0.2,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
    )
    raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    ear = Ear(app, TP(topic, 0))

    async def drive(stream: Any) -> None:
        async for event in stream.noack().events():
            ear.messages.append([int(record.value) for record in event.message.value])
            ear.fetched.append(event.message.value)
            event.ack()

    app.agent(app.topic(topic, **raw), name="ear")(drive)
    async with app:
        yield ear


@pytest.fixture
async def ear(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Ear]:
    """It listens to what was told before."""
    stage = Stage("ear", (Input("told", None),), (), lambda *_: None, lambda *_: None)
    await create(kafka, Topics(namespace, 1).declared([stage], []))
    await asyncio.to_thread(tell, kafka, f"{namespace}told")
    async with listening(kafka, namespace, tmp_path) as made:
        yield made


COMMITTED = [number for number in range(TRANSACTIONS) if number != ABORTED]


async def test_what_was_committed_comes_in_order_and_many_records_are_one_message(ear: Ear) -> None:
    await ear.until(lambda: len(ear.numbers()) >= len(COMMITTED))
    assert ear.numbers() == COMMITTED
    assert len(ear.messages) < TRANSACTIONS / 2


async def test_the_offset_that_people_watch_is_that_of_the_newest_record_done(ear: Ear, kafka: str) -> None:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": ear.app.conf.id})

    def committed() -> int:
        (told,) = consumer.committed([TopicPartition(ear.where.topic, 0)], timeout=10)
        return int(told.offset)

    # A record and the transaction's end, for each.
    await ear.until(lambda: committed() == 2 * TRANSACTIONS - 1)
    consumer.close()


async def test_what_is_sought_comes_again_although_later_records_came_before(ear: Ear) -> None:
    await ear.until(lambda: len(ear.numbers()) == len(COMMITTED))
    await ear.app.consumer.seek(ear.where, 2 * 50)
    await ear.until(lambda: len(ear.numbers()) == len(COMMITTED) + 10)
    assert ear.numbers()[-10:] == COMMITTED[-10:]
    assert not any(ear.app.consumer._gap.values()), "a gap for each transaction would make each record wait"


async def test_the_consumer_is_sought_on_its_own_thread(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    await ear.until(lambda: len(ear.numbers()) == len(COMMITTED))
    threads: list[int] = []
    monkeypatch.setattr(ear.app.consumer._thread, "seek_as", lambda *_: threads.append(threading.get_ident()))
    await ear.app.consumer.seek(ear.where, 0)
    assert threads
    assert threads[0] != threading.get_ident()


async def test_what_was_fetched_says_which_seek_and_which_record_it_follows(ear: Ear) -> None:
    await ear.until(lambda: len(ear.numbers()) == len(COMMITTED))
    before = len(ear.fetched)
    await ear.app.consumer.seek_as(ear.where, 0, 7)
    await ear.until(lambda: len(ear.numbers()) == 2 * len(COMMITTED))
    since = ear.fetched[before:]
    assert {fetched.seek for fetched in since} == {7}
    assert [fetched.after for fetched in since] == [None, *(fetched[-1].offset for fetched in since[:-1])]
