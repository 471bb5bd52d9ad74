"""What is dropped beneath us between two frames is read again, also where only its offset tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
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


class Listener:
    """A stage over one topic, on a runtime of its own; `heard`: its elements, `buried`: what was none."""

    def __init__(self, kafka: str, namespace: str, folder: Path) -> None:
        self.heard: list[int] = []
        self.buried: list[bytes] = []
        self.dropping = False
        self.dropped = 0
        self.topics = Topics(namespace, 1)
        self.stage = Stage("listen", (Input("told", Elements(int)),), (HELD,), self._fold, self._bury)
        self.app = listening(kafka, namespace, folder)
        self.runtime = Runtime(self.app, self.topics, kafka, folder, self._die)
        self.runtime.add(self.stage)
        feed = self.runtime._feed
        self._offer, feed.offer = feed.offer, self._drop  # type: ignore[method-assign]

    def _fold(self, unit: Unit, batches: Sequence[Batch]) -> None:
        self.heard += [element for batch in batches for element in batch.elements]

    def _bury(self, unit: Unit, raw: bytes, fault: Exception) -> None:
        self.buried.append(raw)

    def _die(self, fault: BaseException) -> None:
        raise fault

    async def _drop(self, stage: Stage, event: Any) -> None:
        """Lose a message, as Faust does where partitions move."""
        if self.dropping:
            self.dropping, self.dropped = False, self.dropped + 1
            event.ack()
        else:
            await self._offer(stage, event)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for the world outside."""
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.02)


@pytest.fixture
async def listener(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Listener]:
    """It is ready."""
    made = Listener(kafka, namespace, tmp_path)
    await create(kafka, made.topics.declared([made.stage], ["dead"]))
    async with made.app:
        await made.until(made.runtime.ready.is_set)
        yield made
        await made.runtime.stop()


async def test_a_strangers_record_between_two_frames_is_not_lost(listener: Listener, kafka: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:

        async def tell(value: bytes, number: int | None) -> None:
            stamp = [] if number is None else [(ORIGIN, b"somebody-0"), (NUMBER, b"%d" % number)]
            await producer.send_and_wait(listener.topics.topic("told"), value, partition=0, headers=stamp)

        await tell(b"[1]", 0)
        await listener.until(lambda: listener.heard == [1])
        listener.dropping = True
        await tell(b"no frame", None)
        await listener.until(lambda: listener.dropped == 1)
        await tell(b"[2]", 1)
        await listener.until(lambda: listener.heard == [1, 2])
        await listener.until(lambda: listener.buried == [b"no frame"])
