"""Lanes that follow each other on real Kafka and RocksDB: one transaction for the way of a change, and the way back to
Kafka's own pace wherever anything is unusual."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from aiokafka import ConsumerRecord
from oracle import committed

from isthmus.codecs.dead import dead_letter
from isthmus.codecs.frames import Elements, Stamp, stamp_of
from isthmus.node import lane as lanes
from isthmus.node import order
from isthmus.node.following import Neighbours
from isthmus.node.lane import Lane
from isthmus.node.order import Gap
from isthmus.node.topics import Topics, create
from isthmus.node.writer import Writer
from isthmus.tables.marker import MARKER_KEY, Marker
from isthmus.tables.stage import Batch, Input, Stage
from isthmus.tables.store import Store, shared_cache
from isthmus.tables.unit import Record, Table, Unit

TOLD: Table[int] = Table("told", int)
SUMS: Table[int] = Table("sums", int)
POISON, WORDY = 13, 17
PARTITIONS = 2


def tell(unit: Unit, batches: Sequence[Batch]) -> None:
    """Sends numbers on, by their last digit; one becomes a word, which is none."""
    for number in (number for batch in batches for number in batch.elements):
        unit.put(TOLD, b"last", number)
        unit.send("numbers", str(number % 10).encode(), "seventeen" if number == WORDY else number)


def add(unit: Unit, batches: Sequence[Batch]) -> None:
    """Adds numbers up by their last digit, and publishes each."""
    for number in (number for batch in batches for number in batch.elements):
        if number == POISON:
            raise RuntimeError("poison")
        key = str(number % 10).encode()
        unit.put(SUMS, key, (unit.get(SUMS, key) or 0) + number)
        unit.publish(Record("events", key, str(number).encode(), []))


def bury(unit: Unit, raw: bytes, fault: Exception) -> None:
    """A dead letter."""
    unit.bury(dead_letter(fault, stage="add", original=raw))


STAGES = [
    Stage("tell", (Input("told", Elements(int)),), (TOLD,), tell, bury),
    Stage("add", (Input("numbers", Elements(int)),), (SUMS,), add, bury, at_once=True),
]


@dataclass
class House:
    """Two stages of two lanes each; `bring` hands a lane what Kafka would."""

    kafka: str
    namespace: str
    lanes: dict[str, Lane]
    died: list[BaseException] = field(default_factory=list)
    acked: list[tuple[str, int]] = field(default_factory=list)

    async def tell(self, partition: int, offset: int, *numbers: int) -> None:
        """A frame for the first stage."""
        await self.bring(f"tell-{partition}", "told", offset, Stamp("o", offset), orjson.dumps(numbers))

    async def bring(self, lane: str, topic: str, offset: int, stamp: Stamp | None, value: bytes | None) -> None:
        """One record, done with."""
        await self.put(lane, topic, offset, stamp, value)
        async with asyncio.timeout(30):
            while (lane, offset) not in self.acked:
                assert not self.died, self.died
                await asyncio.sleep(0.005)

    async def put(self, lane: str, topic: str, offset: int, stamp: Stamp | None, value: bytes | None) -> None:
        """One record, on its way."""
        headers = [] if stamp is None else stamp.headers()
        message = SimpleNamespace(
            topic=f"{self.namespace}{topic}",
            partition=self.lanes[lane].partition,
            offset=offset,
            value=value,
            headers=headers,
        )
        event = SimpleNamespace(message=message, ack=lambda: self.acked.append((lane, offset)))
        await self.lanes[lane].queue.put(event)

    async def frames(self) -> list[ConsumerRecord]:
        """What stands on the topic between the stages."""
        return await committed(self.kafka, f"{self.namespace}numbers", PARTITIONS)

    async def bring_frames(self) -> None:
        """All of them, as Kafka would."""
        for record in await self.frames():
            await self.bring(
                f"add-{record.partition}", "numbers", record.offset, stamp_of(record.headers), record.value
            )

    async def events(self) -> list[int]:
        """The numbers that were published."""
        return sorted(
            int(record.value or b"") for record in await committed(self.kafka, f"{self.namespace}events", PARTITIONS)
        )

    def sums(self) -> dict[bytes, int]:
        """The state of the second stage."""
        stores = [self.lanes[f"add-{partition}"].stores["sums"] for partition in range(PARTITIONS)]
        return {key: int(value) for store in stores for key, value in store.scan() if not key.startswith(b"\xff")}


@pytest.fixture
async def house(kafka: str, namespace: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """All lanes, at work unless a test names others."""
    topics = Topics(namespace, PARTITIONS)
    await create(kafka, topics.declared(STAGES, ["events", "dead"]))
    built: dict[str, Lane] = {}
    made = House(kafka, namespace, built)

    async def seek(topic: str, partition: int, offset: int) -> None:
        pass

    def neighbours(lane: Lane) -> Neighbours:
        adders = [built[f"add-{p}"] for p in range(PARTITIONS)]
        return Neighbours(adders if lane.stage.name == "tell" else [], adders)

    writer = Writer(kafka, f"{namespace}house")
    await writer.open()
    for stage in STAGES:
        for p in range(PARTITIONS):
            stores = {t.name: Store(tmp_path / f"{t.name}{p}", shared_cache(1 << 20)) for t in stage.tables}
            lane = Lane(stage, p, topics, writer, stores, seek, made.died.append, neighbours=neighbours)
            built[str(lane)] = lane
            lane.load()
            if stage.name in getattr(request, "param", {"tell", "add"}):
                lane.begin()
    yield made
    await asyncio.gather(*(lane.stop() for lane in built.values() if lane._working))
    await writer.close()


async def test_the_next_stage_is_done_in_the_same_transaction_and_what_kafka_brings_is_a_repeat(house: House) -> None:
    await house.tell(0, 0, 1, 2, 11)
    assert await house.events() == [1, 2, 11]
    assert house.sums() == {b"1": 12, b"2": 2}
    # A topic's partition holds a transaction's records and its mark: one frame, one mark, nothing else.
    assert {record.offset for record in await house.frames()} == {0}
    await house.bring_frames()
    assert await house.events() == [1, 2, 11]
    assert house.sums() == {b"1": 12, b"2": 2}


async def test_no_cause_is_overtaken(house: House) -> None:
    await house.tell(0, 0, POISON)  # not followed, so Kafka has still to bring it
    await house.tell(1, 0, 3)  # of another origin, so nothing is missing before it
    assert await house.events() == []
    await house.bring_frames()
    await house.tell(1, 1, 23)
    assert await house.events() == [3, 23]


async def test_nobody_follows_over_a_frame_that_is_missing(house: House) -> None:
    house.lanes["add-0"]._order.gaps["elsewhere"] = Gap(0, 0.0, 0.0)
    house.lanes["add-1"]._order.gaps["elsewhere"] = Gap(0, 0.0, 0.0)
    await house.tell(0, 0, 1, 2)
    for p in range(PARTITIONS):
        house.lanes[f"add-{p}"]._order.gaps.clear()
    await house.tell(0, 1, 11, 12)
    assert await house.events() == []
    await house.bring_frames()
    assert await house.events() == [1, 2, 11, 12]
    await house.tell(0, 2, 21)
    assert await house.events() == [1, 2, 11, 12, 21]


@pytest.mark.parametrize("bad", [POISON, WORDY])
async def test_what_becomes_a_dead_letter_waits_until_kafka_brings_it_and_its_place_is_known(
    house: House, bad: int
) -> None:
    await house.tell(0, 0, bad, bad + 20)
    assert house.sums() == {}
    await house.bring_frames()
    assert await house.events() == [bad + 20]
    (letter,) = await committed(house.kafka, f"{house.namespace}dead", PARTITIONS)
    assert orjson.loads(letter.value or b"")["context"]["at"].startswith(f"{house.namespace}numbers/")


@pytest.mark.parametrize("house", [{"tell"}], indirect=True)
async def test_a_lane_that_has_not_begun_follows_nobody(house: House) -> None:
    await house.tell(0, 0, 1, 2)
    assert await house.events() == []
    assert len(await house.frames()) > 0


async def test_a_lane_that_has_something_to_do_first_follows_nobody_until_it_is_done(house: House) -> None:
    opened: list[str] = []

    async def then() -> None:
        opened.append("the rest")

    for p in range(PARTITIONS):
        house.lanes[f"add-{p}"].put_first({f"{house.namespace}numbers": 1}, then)
    await house.tell(0, 0, 1, 2)
    assert (await house.events(), opened) == ([], [])
    await house.bring_frames()
    await house.tell(0, 1, 11, 12)
    assert (await house.events(), opened) == ([1, 2, 11, 12], ["the rest"])


async def test_a_lane_that_was_stopped_follows_nobody(house: House) -> None:
    await house.lanes["add-0"].stop()
    await house.lanes["add-1"].stop()
    await house.tell(0, 0, 1, 2)
    assert await house.events() == []
    assert len(await house.frames()) > 0


async def test_a_lane_that_stands_still_holds_up_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "REWIND_SECONDS", 0.0)
    for lane in ("add-0", "add-1"):
        for _ in range(2):  # read again, and nothing came before it
            await house.put(lane, "numbers", 7, Stamp("o", 5), b"[1]")
        async with asyncio.timeout(10):
            while house.lanes[lane].alarm is None:
                await asyncio.sleep(0.01)
    await house.tell(0, 0, 1, 2)
    assert await house.events() == []
    assert len(await house.frames()) > 0


async def test_an_idle_lane_writes_down_how_far_kafka_has_come(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "CATCH_UP_SECONDS", 0.05)
    await house.tell(0, 0, 1)
    (frame,) = await house.frames()
    lane, topic = house.lanes[f"add-{frame.partition}"], f"{house.namespace}numbers"
    assert lane.marker.resume_at(topic) == 0
    await house.bring_frames()
    async with asyncio.timeout(10):
        while Marker.load(lane.stores["sums"].get(MARKER_KEY)).resume_at(topic) != frame.offset + 1:
            await asyncio.sleep(0.01)


async def test_many_that_lead_to_the_same_lanes_wait_for_each_other_and_nothing_is_done_twice(house: House) -> None:
    async def feed(partition: int) -> None:
        for turn in range(40):
            await house.tell(
                partition, turn, *(1000 * partition + 20 * turn + n for n in range(20) if n not in (POISON, WORDY))
            )

    async with asyncio.timeout(60):
        await asyncio.gather(*(feed(partition) for partition in range(PARTITIONS)))
    await house.bring_frames()
    events = await house.events()
    assert len(events) == len(set(events)) == 2 * 40 * 18
    assert sum(house.sums().values()) == sum(events)
