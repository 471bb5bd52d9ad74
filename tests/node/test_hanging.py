"""A transaction that Kafka never ends is warned of, and given up loudly (docs/adr/0007)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from isthmus.node import recovery
from isthmus.node.features import advise
from isthmus.node.recovery import HangingTransaction, recover
from isthmus.node.transaction import Transactions
from isthmus.tables.store import Store, shared_cache


async def test_nothing_is_to_be_said_of_the_local_kafka(kafka: str) -> None:
    assert await advise(kafka) is None


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
    writing = asyncio.create_task(writer.run({("open-log", 0): [(b"key", b"value", [])]}))
    await begun.wait()
    store = Store(tmp_path / "store", shared_cache(1 << 20))
    with pytest.raises(HangingTransaction, match="open-log/0 at 0"):
        await recover(kafka, {("open-log", 0): store}, {("open-log", 0): 0})
    store.close()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await writer.close()
