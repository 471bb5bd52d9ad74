"""Standbys: copies of the table partitions that other workers hold, so that taking one over is quick.

Promises: reads committed records only and never ahead of what it applied; gives every file back before a lane opens it;
a fault of the copy ends the copy, never the worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from rocksdict import Cache

from isthmus.node.ending import end
from isthmus.node.recovery import changelog_reader, seek_to
from isthmus.tables.store import Store

log = structlog.get_logger()
Copies = Mapping[tuple[str, int], Path]


class Standby:
    """At most one set of copies at a time."""

    def __init__(self, bootstrap: str, cache: Cache) -> None:
        self._bootstrap = bootstrap
        self._cache = cache
        self._task: asyncio.Task[None] | None = None
        self.copies: Copies = {}

    def start(self, copies: Copies, room: int) -> None:
        """Follow these changelogs (topic, partition) into these folders; `room`: a store's."""
        self.copies = copies
        if copies:
            self._task = asyncio.create_task(self._follow(copies, room), name="standby")

    async def stop(self) -> None:
        """Stop and give the files back; safe to call twice."""
        if self._task is not None:
            await end([self._task])
            self._task = None

    async def _follow(self, copies: Copies, room: int) -> None:
        stores = {TopicPartition(*where): Store(path, self._cache, room=room) for where, path in copies.items()}
        consumer = changelog_reader(self._bootstrap)
        try:
            await consumer.start()
            await seek_to(consumer, stores)
            await _apply_for_ever(consumer, stores)
        except KafkaError as fault:
            log.warning("standby copies are not kept any more", fault=repr(fault))
        finally:
            await consumer.stop()
            for store in stores.values():
                store.close()


async def _apply_for_ever(consumer: AIOKafkaConsumer, stores: Mapping[TopicPartition, Store]) -> None:
    while True:
        for where, records in (await consumer.getmany(timeout_ms=1000, max_records=2000)).items():
            stores[where].apply({r.key: r.value for r in records}, records[-1].offset)
