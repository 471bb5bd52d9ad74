"""What comes first is done before the rest of what waits, also where Kafka brings it last."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from listening import listening

from isthmus.codecs.frames import NUMBER, ORIGIN, Elements
from isthmus.node.runtime import Runtime
from isthmus.node.topics import Topics, create
from isthmus.tables.stage import Batch, Input, Stage
from isthmus.tables.unit import Table, Unit

HELD: Table[int] = Table("held", int)
LATE = 1.0


class Listener:
    """A stage over frames and orders, on a runtime to which orders are brought late; `heard`: the elements of both."""

    def __init__(self, kafka: str, namespace: str, folder: Path, *, first: bool) -> None:
        self.heard: list[int] = []
        self.topics = Topics(namespace, 1)
        inputs = (Input("told", Elements(int)), Input("orders", Elements(int), first=first))
        self.stage = Stage("listen", inputs, (HELD,), self._fold, _bury)
        self.app = listening(kafka, namespace, folder)
        self.runtime = Runtime(self.app, self.topics, kafka, folder, _die)
        self.runtime.add(self.stage)
        feed = self.runtime._feed
        self._offer, feed.offer = feed.offer, self._bring  # type: ignore[method-assign]
        self._late: list[asyncio.Task[None]] = []

    def _fold(self, unit: Unit, batches: Sequence[Batch]) -> None:
        self.heard += [element for batch in batches for element in batch.elements]

    async def _bring(self, stage: Stage, event: Any) -> None:
        if event.message.topic == self.topics.topic("orders"):
            self._late.append(asyncio.create_task(self._bring_late(stage, event)))
        else:
            await self._offer(stage, event)

    async def _bring_late(self, stage: Stage, event: Any) -> None:
        await asyncio.sleep(LATE)
        await self._offer(stage, event)

    async def until_heard(self, number: int) -> None:
        """Wait for so many elements."""
        async with asyncio.timeout(30):
            while len(self.heard) < number:
                await asyncio.sleep(0.02)


def _bury(unit: Unit, raw: bytes, fault: Exception) -> None:
    raise fault


def _die(fault: BaseException) -> None:
    raise fault


@pytest.mark.parametrize(("first", "heard"), [(True, [1, 2, 3]), (False, [3, 1, 2])])
async def test_orders_that_stood_there_at_the_start_come_before_what_else_waits(
    kafka: str, namespace: str, tmp_path: Path, first: bool, heard: list[int]
) -> None:
    listener = Listener(kafka, namespace, tmp_path, first=first)
    await create(kafka, listener.topics.declared([listener.stage], ["dead"]))
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        stamp = [(ORIGIN, b"somebody-0"), (NUMBER, b"0")]
        await producer.send_and_wait(listener.topics.topic("told"), b"[3]", partition=0, headers=stamp)
        for order in (b"[1]", b"[2]"):
            await producer.send_and_wait(listener.topics.topic("orders"), order, partition=0)
    async with listener.app:
        await listener.until_heard(3)
        await listener.runtime.stop()
    assert listener.heard == heard
