"""Recovery: what a worker has to read before it may work, which may be nothing."""

from __future__ import annotations

import asyncio

from isthmus.node.recovery import extents, recover


async def test_a_worker_that_gets_no_partition_waits_for_nothing(kafka: str) -> None:
    async with asyncio.timeout(20):
        assert await recover(kafka, {}) == 0
        assert await extents(kafka, []) == {}
