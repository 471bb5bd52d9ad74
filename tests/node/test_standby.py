"""Standby copies against a real changelog: committed records only, kept up with, and given back whole."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiokafka import AIOKafkaProducer

from isthmus.node.packing import Cargo
from isthmus.node.recovery import recover
from isthmus.node.standby import Standby
from isthmus.node.topics import Topics, create
from isthmus.node.writer import Writer
from isthmus.tables.stage import Input, Stage
from isthmus.tables.store import Store, shared_cache
from isthmus.tables.unit import Table

STAGE = Stage(
    "count",
    (Input("numbers", None),),
    (Table("counts", int),),
    lambda unit, batches: None,
    lambda unit, raw, fault: None,
)


async def test_a_copy_holds_what_was_committed_and_the_next_owner_reads_only_the_rest(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    topics, cache, folder = Topics(namespace, 1), shared_cache(1 << 20), tmp_path / "counts"
    await create(kafka, topics.declared([STAGE], []))
    log = (topics.changelog("counts"), 0)
    writer, standby = Writer(kafka, f"{namespace}w"), Standby(kafka, cache)
    await writer.open()
    last = (await writer.commit(Cargo({log: [(b"a", b"1", []), (b"b", b"1", [])]})))[log]
    await _abort(kafka, namespace, log)
    standby.start({log: folder}, 1 << 20)
    await _holds(standby, folder, last)
    last = (await writer.commit(Cargo({log: [(b"a", b"2", []), (b"b", None, [])]})))[log]
    standby.start({log: folder}, 1 << 20)
    await _holds(standby, folder, last)
    await writer.commit(Cargo({log: [(b"c", b"3", [])]}))
    await writer.close()
    store = Store(folder, cache)
    assert await recover(kafka, {log: store}) == 1
    assert [store.get(key) for key in (b"a", b"b", b"c", b"never")] == [b"2", None, b"3", None]
    store.close()


async def _holds(standby: Standby, folder: Path, offset: int) -> None:
    """Wait until the copy has come to that offset; the standby is stopped then."""
    async with asyncio.timeout(30):
        while True:
            await asyncio.sleep(0.2)
            await standby.stop()
            store = Store(folder, shared_cache(1 << 20))
            position = store.position
            store.close()
            if position == offset:
                return
            standby.start(standby.copies, 1 << 20)


async def _abort(kafka: str, namespace: str, log: tuple[str, int]) -> None:
    """Records that nobody may see."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"{namespace}aborts")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(log[0], key=b"never", value=b"9", partition=log[1])
    await producer.abort_transaction()
    await producer.stop()
