"""A lane on real Kafka and RocksDB, handed records as Faust would hand them: holes, repeats, poison and giants."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from oracle import committed

from isthmus.codecs.dead import dead_letter
from isthmus.codecs.frames import Elements, Stamp
from isthmus.node import order
from isthmus.node.lane import Lane
from isthmus.node.packing import RECORD_BYTES, Cargo
from isthmus.node.recovery import recover
from isthmus.node.topics import Topics, create
from isthmus.node.writer import Writer
from isthmus.tables.stage import Batch, Input, Pen, Stage
from isthmus.tables.store import Store, shared_cache
from isthmus.tables.unit import Record, Table, Unit

SEEN: Table[Any] = Table("seen", Any)
POISON, GIANT = 13, 77


def work(unit: Unit, batches: Sequence[Batch]) -> None:
    """Counts numbers; chokes on one, and makes too much of another."""
    for number in (number for batch in batches for number in batch.elements):
        held = unit.get(SEEN, b"all") or []
        held.append(number)
        unit.put(SEEN, b"all", held)
        if number == POISON:
            raise RuntimeError("poison")
        if number == GIANT:
            unit.put(SEEN, b"giant", "x" * (RECORD_BYTES + 1))
        unit.publish(Record("events", str(number).encode(), str(number).encode(), []))


def bury(unit: Unit, raw: bytes, fault: Exception) -> None:
    """A dead letter."""
    unit.bury(dead_letter(fault, stage="count", original=raw))


@dataclass
class Hands:
    """A lane, and the hands that feed it: `sought` is where it wanted to read again, `died` why it ended."""

    lane: Lane
    topic: str
    sought: list[int] = field(default_factory=list)
    died: list[BaseException] = field(default_factory=list)
    acked: list[int] = field(default_factory=list)

    async def hand(self, offset: int, number: int | None, value: bytes) -> None:
        """One record of origin `o` with its number; without one it is a stranger's."""
        headers = [] if number is None else Stamp("o", number).headers()
        message = SimpleNamespace(topic=self.topic, partition=0, offset=offset, value=value, headers=headers)
        await self.lane.queue.put(SimpleNamespace(message=message, ack=lambda: self.acked.append(offset)))

    async def done(self, offset: int) -> None:
        """Wait until a record is done with."""
        async with asyncio.timeout(30):
            while offset not in self.acked:
                assert not self.died, self.died
                await asyncio.sleep(0.01)


@pytest.fixture
async def hands(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Hands]:
    """A lane that works."""
    topics = Topics(namespace, 1)
    stage = Stage("count", (Input("numbers", Elements(int)),), (SEEN,), work, bury)
    await create(kafka, topics.declared([stage], ["events", "dead"]))
    sought: list[int] = []
    died: list[BaseException] = []

    async def seek(topic: str, partition: int, offset: int) -> None:
        sought.append(offset)

    stores = {SEEN.name: Store(tmp_path / "seen", shared_cache(1 << 20))}
    writer = Writer(kafka, f"{namespace}count")
    await writer.open()
    lane = Lane(stage, 0, topics, writer, stores, seek, died.append)
    lane.load()
    lane.begin()
    yield Hands(lane, topics.topic("numbers"), sought, died)
    await lane.stop()
    await writer.close()


async def published(kafka: str, namespace: str, topic: str) -> list[bytes]:
    """The committed values of a topic."""
    return [record.value for record in await committed(kafka, f"{namespace}{topic}", 1)]


async def test_poison_giants_and_strangers_are_dead_letters_and_their_neighbours_go_through(
    hands: Hands, kafka: str, namespace: str
) -> None:
    await hands.hand(0, 0, b'[1, 13, "two", 77, 3]')
    await hands.hand(1, 1, b"no frame")
    await hands.hand(2, 2, b"[4]")
    await hands.done(2)
    assert await published(kafka, namespace, "events") == [b"1", b"3", b"4"]
    letters = [orjson.loads(value) for value in await published(kafka, namespace, "dead")]
    assert sorted(letter["code"] for letter in letters) == ["DECODE", "DECODE", "OVERSIZED", "UNEXPECTED"]
    assert {letter["original"].strip() for letter in letters} == {"13", '"two"', "77", "no frame"}
    assert all(letter["context"]["at"].startswith(f"{namespace}numbers/0/") for letter in letters)
    raw = hands.lane.stores[SEEN.name].get(b"all")
    assert raw == b"[1,3,4]"


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (None, []),
        (b"", []),
        (b"[" * 200_000, []),
        (b"no frame", [("origin", b"o"), ("number", None)]),
        (b"no frame", [("origin", b"p"), ("number", b"-5")]),
    ],
    ids=["null", "empty", "endless", "a null number", "a negative number"],
)
async def test_whatever_a_stranger_writes_is_a_dead_letter_and_no_end(
    hands: Hands, kafka: str, namespace: str, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    message = SimpleNamespace(topic=hands.topic, partition=0, offset=0, value=value, headers=headers)
    await hands.lane.queue.put(SimpleNamespace(message=message, ack=lambda: hands.acked.append(0)))
    await hands.hand(1, 0, b"[1]")
    await hands.done(1)
    assert await published(kafka, namespace, "events") == [b"1"]
    assert [orjson.loads(one)["code"] for one in await published(kafka, namespace, "dead")] == ["DECODE"]


async def test_a_repeat_is_skipped_and_a_hole_is_read_again(hands: Hands, kafka: str, namespace: str) -> None:
    await hands.hand(0, 0, b"[1]")
    await hands.hand(0, 0, b"[1]")
    await hands.hand(7, 2, b"[3]")
    await hands.done(0)
    async with asyncio.timeout(10):
        while not hands.sought:
            await asyncio.sleep(0.01)
    assert hands.sought == [1]
    await hands.hand(5, 1, b"[2]")
    await hands.hand(7, 2, b"[3]")
    await hands.done(7)
    assert await published(kafka, namespace, "events") == [b"1", b"2", b"3"]


async def test_a_frame_that_kafka_has_lost_makes_the_lane_stand_still_loudly(
    hands: Hands, kafka: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order, "REWIND_SECONDS", 0.0)
    await hands.hand(0, 0, b"[1]")
    await hands.done(0)
    for _ in range(2):
        await hands.hand(7, 2, b"[3]")
    async with asyncio.timeout(10):
        while hands.lane.alarm is None:
            await asyncio.sleep(0.01)
    assert "changes are lost" in hands.lane.alarm
    assert await published(kafka, namespace, "events") == [b"1"]


async def test_lost_frames_are_noticed_also_while_others_keep_coming(
    hands: Hands, kafka: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order, "REWIND_SECONDS", 0.3)
    monkeypatch.setattr(order, "AWAITED_SECONDS", 0.2)
    await hands.hand(0, 0, b"[1]")
    await hands.done(0)
    late, rewinds = 0, 0
    async with asyncio.timeout(20):
        while hands.lane.alarm is None:
            await hands.hand(8 + late, 3 + late, b"[4]")
            late += 1
            if len(hands.sought) > rewinds:  # reading again brings all from the first one on
                rewinds = len(hands.sought)
                for number in range(late + 1):
                    await hands.hand(7 + number, 2 + number, b"[3]")
            await asyncio.sleep(0.01)
    assert "changes are lost" in hands.lane.alarm
    assert await published(kafka, namespace, "events") == [b"1"]


async def test_a_strangers_record_behind_a_gap_of_offsets_is_not_overtaken(
    hands: Hands, kafka: str, namespace: str
) -> None:
    await hands.hand(0, 0, b"[1]")
    await hands.hand(5, None, b"no frame")
    await hands.hand(7, 1, b"[2]")
    async with asyncio.timeout(10):
        while not hands.sought or not hands.lane.queue.empty():
            await asyncio.sleep(0.01)
    assert hands.sought == [1]
    await hands.hand(5, None, b"no frame")
    await hands.hand(7, 1, b"[2]")
    await hands.done(7)
    assert len(await published(kafka, namespace, "dead")) == 1
    assert await published(kafka, namespace, "events") == [b"1", b"2"]


def writing(go: asyncio.Event) -> Callable[[Pen], Awaitable[None]]:
    """A source that writes, as fast as it can, in a task of its own, which hears of its end last."""

    async def write(pen: Pen) -> None:
        for number in itertools.count():
            await go.wait()
            await pen.commit(lambda unit, n=number: unit.put(SEEN, b"all", [n]))  # type: ignore[misc]

    async def run(pen: Pen) -> None:
        task = asyncio.create_task(write(pen))
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return run


@pytest.mark.parametrize("commits", [0, 1], ids=["about to begin", "in the middle"])
async def test_a_source_commits_nothing_any_more_once_its_lane_was_given_up(
    kafka: str, namespace: str, tmp_path: Path, commits: int
) -> None:
    topics, go = Topics(namespace, 1), asyncio.Event()
    stage = Stage("busy", (Input("numbers", Elements(int)),), (SEEN,), work, bury, source=writing(go))
    await create(kafka, topics.declared([stage], []))
    writer = Writer(kafka, f"{namespace}busy")
    await writer.open()
    store = Store(tmp_path, shared_cache(1 << 20))
    lane = Lane(stage, 0, topics, writer, {SEEN.name: store}, no_seek, [].append)
    lane.load()
    lane.begin()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    go.set()
    async with asyncio.timeout(20):
        while commits and store.get(b"all") is None:
            await asyncio.sleep(0.001)
    await lane.stop()
    await writer.commit(
        Cargo({(topics.topic("numbers"), 0): [(None, b"[]", [])]})
    )  # what was still on its way is through
    await writer.close()
    told = [record for record in await committed(kafka, topics.changelog(SEEN.name), 1) if record.key == b"all"]
    kept = Store(tmp_path, shared_cache(1 << 20))
    assert kept.get(b"all") == (told[-1].value if told else None), "committed behind the store's back"
    kept.close()


async def test_a_lane_that_never_was_whole_does_not_pass_over_what_others_committed(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    topics = Topics(namespace, 1)
    stage = Stage("count", (Input("numbers", Elements(int)),), (SEEN,), work, bury)
    await create(kafka, topics.declared([stage], []))
    changelog = (topics.changelog(SEEN.name), 0)
    writer = Writer(kafka, f"{namespace}count")
    await writer.open()
    await writer.commit(Cargo({changelog: [(b"all", b"[1]", [])]}))  # by an owner before us, and not read yet
    lane = Lane(stage, 0, topics, writer, {SEEN.name: Store(tmp_path, shared_cache(1 << 20))}, no_seek, [].append)
    await lane.stop()  # a rebalance in the middle of the opening
    await writer.close()
    store = Store(tmp_path, shared_cache(1 << 20))
    await recover(kafka, {changelog: store})
    assert store.get(b"all") == b"[1]"
    store.close()


async def test_a_lane_that_is_thrown_away_with_its_loop_is_in_no_doubt_of_its_state() -> None:
    stage = Stage("count", (Input("numbers", Elements(int)),), (SEEN,), work, bury)
    died: list[BaseException] = []
    lane = Lane(stage, 0, Topics("n", 1), Writer("nowhere", "n"), {}, no_seek, died.append)
    at_work = lane._guard(lane._work())
    lane._working = True
    at_work.send(None)  # it waits for its first record
    at_work.close()
    assert died == []


async def no_seek(topic: str, partition: int, offset: int) -> None:
    """Nothing is read again here."""
