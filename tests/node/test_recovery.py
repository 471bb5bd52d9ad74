"""Recovery: what a worker has to read before it may work, which may be nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from isthmus.node import recovery
from isthmus.node.recovery import ChangelogLost, extents, recover
from isthmus.node.topics import Topics, create
from isthmus.tables.stage import Input, Stage
from isthmus.tables.store import Store, shared_cache
from isthmus.tables.unit import Table


async def test_a_worker_that_gets_no_partition_waits_for_nothing(kafka: str) -> None:
    async with asyncio.timeout(20):
        assert await recover(kafka, {}) == 0
        assert await extents(kafka, []) == {}


async def test_a_changelog_that_was_made_anew_is_refused_loudly(
    kafka: str, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "MARKED_SECONDS", 0.2)
    topics, nothing = Topics(namespace, 1), lambda *_: None
    stage = Stage("count", (Input("numbers", None),), (Table("counts", int),), nothing, nothing)
    await create(kafka, topics.declared([stage], []))
    store = Store(tmp_path / "counts", shared_cache(1 << 20))
    store.apply({b"k": b"1"}, 7)
    with pytest.raises(ChangelogLost, match="holds it up to 7"):
        await recover(kafka, {(topics.changelog("counts"), 0): store})
    store.close()
