"""Lanes that are stopped in the middle of things, on real Kafka and RocksDB: nothing is forgotten, all comes to an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from oracle import committed

from isthmus.codecs.frames import Elements, Stamp
from isthmus.node.lane import Lane
from isthmus.node.packing import Cargo
from isthmus.node.recovery import recover
from isthmus.node.topics import Topics, create
from isthmus.node.writer import Writer
from isthmus.tables.stage import Batch, Input, Pen, Stage
from isthmus.tables.store import Store, shared_cache
from isthmus.tables.unit import Table, Unit

LAST: Table[int] = Table("last", int)
FAR = 4e9  # seconds since 1970


def fold(unit: Unit, batches: Sequence[Batch]) -> None:
    """Keeps the last number; wants a tick, far away."""
    for number in (number for batch in batches if batch.topic == "numbers" for number in batch.elements):
        unit.put(LAST, b"n", number)
    unit.due = FAR


def bury(unit: Unit, raw: bytes, fault: Exception) -> None:
    """Nothing is expected to be buried."""
    raise fault


class Ground:
    """A lane's Kafka and its disk: lanes come and go on it."""

    def __init__(self, kafka: str, topics: Topics, writer: Writer, folder: Path) -> None:
        self.kafka = kafka
        self.topics = topics
        self.writer = writer
        self.changelog = topics.changelog(LAST.name), 0
        self._folder = folder

    def lane(self, source: Callable[[Pen], Awaitable[None]] | None = None) -> Lane:
        """A lane that is not loaded yet."""
        stage = Stage("keep", (Input("numbers", Elements(int)),), (LAST,), fold, bury, source=source, ticks=True)
        return Lane(stage, 0, self.topics, self.writer, {LAST.name: self._store()}, _no_seek, _never)

    async def begun(self, source: Callable[[Pen], Awaitable[None]] | None = None) -> Lane:
        """A lane at work, that has nothing to do."""
        lane = self.lane(source)
        lane.load()
        lane.begin()
        async with asyncio.timeout(10):
            while lane._due != FAR or lane._turn.locked():
                await asyncio.sleep(0.01)
        return lane

    def _store(self) -> Store:
        return Store(self._folder, shared_cache(1 << 20))

    async def put(self, number: int) -> None:
        """What another worker committed."""
        await self.writer.commit(Cargo({self.changelog: [(b"n", b"%d" % number, [])]}))

    async def recovered(self) -> bytes | None:
        """What this disk holds once it was brought to the end of the changelog; all before it is visible then."""
        store, end = self._store(), await self.writer.commit(Cargo({self.changelog: [(b"end", b"", [])]}))
        try:
            await recover(self.kafka, {self.changelog: store}, end)
            return store.get(b"n")
        finally:
            store.close()

    async def committed(self) -> bytes | None:
        """What the changelog says."""
        records = await committed(self.kafka, self.changelog[0], 1)
        return next((record.value for record in reversed(records) if record.key == b"n"), None)


async def _no_seek(topic: str, partition: int, offset: int) -> None:
    pass


def _never(fault: BaseException) -> None:
    raise fault


@pytest.fixture
async def ground(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Ground]:
    """An empty one."""
    topics = Topics(namespace, 1)
    stage = Stage("keep", (Input("numbers", Elements(int)),), (LAST,), fold, bury)
    await create(kafka, topics.declared([stage], []))
    writer = Writer(kafka, f"{namespace}keep")
    await writer.open()
    yield Ground(kafka, topics, writer, tmp_path / "last")
    await writer.close()


async def test_a_lane_that_is_stopped_before_its_tables_were_whole_passes_over_nothing(ground: Ground) -> None:
    await ground.put(1)
    await ground.lane().stop()  # the opening was cancelled before it had read the changelog
    assert await ground.recovered() == b"1"


@pytest.mark.parametrize("turns", range(4))
async def test_what_a_source_wrote_while_its_lane_was_stopped_is_on_the_disk_too(ground: Ground, turns: int) -> None:
    heard = asyncio.Event()

    async def write(pen: Pen) -> None:
        await heard.wait()
        await pen.commit(lambda unit: unit.put(LAST, b"n", 1))

    async def source(pen: Pen) -> None:
        writing = asyncio.create_task(write(pen))
        try:
            await asyncio.wait({writing})
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    lane = await ground.begun(source)
    heard.set()
    await _turns(turns)
    await lane.stop()
    assert await ground.recovered() == await ground.committed()


@pytest.mark.parametrize("turns", range(5))
async def test_a_record_that_comes_while_its_lane_is_stopped_does_not_keep_it(ground: Ground, turns: int) -> None:
    lane = await ground.begun()
    message = SimpleNamespace(
        topic=ground.topics.topic("numbers"), partition=0, offset=0, value=b"[1]", headers=Stamp("o", 0).headers()
    )
    await lane.queue.put(SimpleNamespace(message=message, ack=lambda: None))
    await _turns(turns)
    async with asyncio.timeout(10):
        await lane.stop()
    assert await ground.recovered() == await ground.committed()


async def _turns(number: int) -> None:
    """Let everybody else go so many steps."""
    for _ in range(number):
        await asyncio.sleep(0)
