"""Who may write for a partition, on real Kafka: at most one, and who comes later has read all that was committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from oracle import committed

from isthmus.config.errors import IsthmusError
from isthmus.node.owners import owners, release, take
from isthmus.node.packing import Cargo, Entry, Target
from isthmus.node.recovery import recover
from isthmus.node.topics import Topics, create
from isthmus.node.transaction import FencedError
from isthmus.node.writer import Writer
from isthmus.tables.stage import Input, Stage
from isthmus.tables.store import Store, shared_cache
from isthmus.tables.unit import Table, View

STAGE = Stage(
    "count",
    (Input("numbers", None),),
    (Table("counts", int),),
    lambda unit, batches: None,
    lambda unit, raw, fault: None,
)


class Worker:
    """A worker's hand and its copy of one table partition."""

    def __init__(self, kafka: str, namespace: str, name: str, folder: Path) -> None:
        self.topics = Topics(namespace, 1)
        self.writer = Writer(kafka, f"{namespace}{name}", deadline=20)
        self.store = Store(folder / name, shared_cache(1 << 20))
        self._recover = partial(recover, kafka, {self.log: self.store})

    @property
    def log(self) -> Target:
        """The table partition's changelog."""
        return self.topics.changelog("counts"), 0

    @property
    def ledger(self) -> tuple[Target, View]:
        """What owners.py asks."""
        return self.log, self.store

    async def take(self) -> int:
        """Become the owner."""
        await self.writer.open()
        return await take(self.writer, [self], self._recover)

    async def write(self, key: bytes, value: bytes | None) -> int:
        """A put; its offset."""
        return (await self.writer.commit(Cargo({self.log: [(key, value, [])]})))[self.log]

    async def close(self) -> None:
        """The end of it."""
        await self.writer.close()
        self.store.close()


@pytest.fixture
async def two(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[tuple[Worker, Worker]]:
    """Two workers of one node."""
    await create(kafka, Topics(namespace, 1).declared([STAGE], []))
    both = Worker(kafka, namespace, "a", tmp_path), Worker(kafka, namespace, "b", tmp_path)
    yield both
    for worker in both:
        await worker.close()


async def visible(kafka: str, worker: Worker) -> dict[bytes, bytes | None]:
    """The newest committed value of every key that is no owner's."""
    records = await committed(kafka, worker.log[0], 1)
    return {record.key: record.value for record in records if not record.key.startswith(b"\xff")}


async def test_who_comes_later_shuts_out_the_earlier_one_and_knows_all_it_committed(
    two: tuple[Worker, Worker], kafka: str
) -> None:
    first, second = two
    await first.take()
    await first.write(b"k", b"1")
    await second.take()
    assert second.store.get(b"k") == b"1"
    with pytest.raises(FencedError):
        await first.write(b"k", b"2")
    await second.write(b"k", b"3")
    assert await visible(kafka, first) == {b"k": b"3"}
    assert owners(second) == {*second.writer.names}


async def test_who_gave_a_partition_up_may_still_write_elsewhere(two: tuple[Worker, Worker], kafka: str) -> None:
    first, second = two
    await first.take()
    await first.writer.commit(Cargo({first.log: release(first.writer.names)}))
    await second.take()
    await first.write(b"elsewhere", b"1")
    await second.write(b"here", b"2")
    assert await visible(kafka, first) == {b"elsewhere": b"1", b"here": b"2"}


async def test_what_a_dead_owner_left_unfinished_is_never_seen_and_holds_nobody_up(
    two: tuple[Worker, Worker], kafka: str
) -> None:
    dead, heir = two
    await dead.take()
    await dead.write(b"k", b"1")
    await _leave_open(kafka, dead)
    await heir.take()
    await heir.write(b"k", b"2")
    assert heir.store.get(b"k") == b"1"
    assert await visible(kafka, heir) == {b"k": b"2"}


async def test_a_stranger_who_claims_at_the_same_time_is_shut_out_before_any_work(
    two: tuple[Worker, Worker], kafka: str
) -> None:
    """The other one claims between our first reading and our own claim."""
    ours, other = two
    await ours.writer.open()
    honest, turns = ours._recover, iter(range(9))

    async def meanwhile(beyond: Mapping[Target, int]) -> int:
        read = await honest(beyond)
        if next(turns) == 0:
            await other.take()
            await other.write(b"k", b"1")
        return read

    await take(ours.writer, [ours], meanwhile)
    assert ours.store.get(b"k") == b"1"
    with pytest.raises(FencedError):
        await other.write(b"k", b"2")


async def test_what_waits_goes_together_and_everyone_hears_its_own_offsets(
    two: tuple[Worker, Worker], kafka: str
) -> None:
    worker, _ = two
    await worker.take()
    big = b"x" * 700_000  # two do not fit one batch
    wishes: list[list[Entry]] = [
        [(b"%d-%d" % (number, entry), big if entry == 1 else b"-", []) for entry in range(3)] for number in range(5)
    ]
    told = await asyncio.gather(*(worker.writer.commit(Cargo({worker.log: wish})) for wish in wishes))
    at = {record.key: record.offset for record in await committed(kafka, worker.log[0], 1)}
    assert [offsets[worker.log] for offsets in told] == [at[wish[-1][0]] for wish in wishes]


async def test_a_writer_that_failed_refuses_everything_after(two: tuple[Worker, Worker]) -> None:
    first, second = two
    await first.take()
    await second.take()
    with pytest.raises(IsthmusError):
        await first.write(b"k", b"1")
    with pytest.raises(ConnectionAbortedError):
        await first.write(b"k", b"2")


async def _leave_open(kafka: str, worker: Worker) -> None:
    """A transaction of the same name with a record on the broker, and nobody to finish it."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=worker.writer.names[0])
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(worker.log[0], key=b"k", value=b"never", partition=worker.log[1])
    # Not stopped: that would wait for the transaction. The connection goes with the test.
    await producer.client.close()
    await producer._sender.close()
