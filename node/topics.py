"""Every Kafka topic of a node: its name, its partitions, how long it keeps what it is given.

Promises: declared here once; `create` makes what is missing, touches nothing that exists, and says so clearly where an
existing topic has another number of partitions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code

from isthmus.config.errors import ConfigError
from isthmus.node.packing import RECORD_BYTES
from isthmus.tables.stage import Stage

KNOWN_SECONDS = 30.0
WEEK = str(7 * 24 * 3600 * 1000)
TOPIC_ALREADY_EXISTS = 36
LARGEST = {"max.message.bytes": str(RECORD_BYTES + (1 << 20))}
COMPACTED = {
    **LARGEST,
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.2",
    "segment.ms": "3600000",
    "delete.retention.ms": "86400000",  # tables/store.py: a store that is older begins anew
}
KEPT = {**LARGEST, "cleanup.policy": "delete", "retention.ms": WEEK}


@dataclass(frozen=True)
class Topics:
    """Names on this node's Kafka; `namespace` lets several nodes share one cluster."""

    namespace: str
    partitions: int
    replication: int = 1

    def topic(self, name: str) -> str:
        """A topic's full name."""
        return f"{self.namespace}{name}"

    def changelog(self, table: str) -> str:
        """A table's changelog topic."""
        return f"{self.namespace}{table}-changelog"

    def declared(self, stages: Iterable[Stage], published: Iterable[str]) -> list[NewTopic]:
        """All topics of these stages, and those that people read."""
        stages = list(stages)
        kept = {name for stage in stages for name in stage.topics} | set(published)
        tables = {table.name for stage in stages for table in stage.tables}
        return [self._new(self.topic(name), KEPT) for name in sorted(kept)] + [
            self._new(self.changelog(table), COMPACTED) for table in sorted(tables)
        ]

    def _new(self, name: str, config: dict[str, str]) -> NewTopic:
        return NewTopic(name, self.partitions, self.replication, topic_configs=config)


async def create(bootstrap: str, topics: list[NewTopic]) -> None:
    """Make the topics that are missing; ConfigError where one exists with other partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        response = await admin.create_topics(topics)
        for name, code, *_ in response.topic_errors:
            if code not in (0, TOPIC_ALREADY_EXISTS):
                raise ConfigError(f"topic {name}: {for_code(code).__name__}", hint="may this user create topics?")
        await _compare(admin, topics)
    finally:
        await admin.close()


async def _compare(admin: AIOKafkaAdminClient, topics: list[NewTopic]) -> None:
    wanted = {topic.name: topic.num_partitions for topic in topics}
    for name, have in (await _known(admin, list(wanted))).items():
        if have != wanted[name]:
            raise ConfigError(
                f"topic {name} has {have} partitions, {wanted[name]} are set",
                hint="set node.partitions to what the topics have: it cannot be changed later",
            )


async def _known(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """Each topic's partitions. A broker hears of a new topic a little after the controller has made it."""
    try:
        async with asyncio.timeout(KNOWN_SECONDS):
            while True:
                found = {one["topic"]: len(one["partitions"]) for one in await admin.describe_topics(names)}
                if all(found.get(name) for name in names):
                    return found
                await asyncio.sleep(0.05)
    except TimeoutError as fault:
        raise ConfigError(
            f"Kafka does not show the topics that it said it has made, such as {names[0]}",
            hint="may this user describe topics, and are all brokers up?",
        ) from fault
