"""Topics on real Kafka: made once, never touched again, and refused where they cannot serve."""

from __future__ import annotations

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from isthmus.config.errors import ConfigError
from isthmus.node.topics import Topics, create
from isthmus.tables.stage import Input, Stage
from isthmus.tables.unit import Table

STAGE = Stage(
    "count",
    (Input("numbers", None),),
    (Table("counts", int),),
    lambda unit, batches: None,
    lambda unit, raw, fault: None,
)


async def test_topics_are_made_as_declared_and_a_second_time_changes_nothing(kafka: str, namespace: str) -> None:
    topics = Topics(namespace, 3)
    declared = topics.declared([STAGE], ["events"])
    assert [new.name for new in declared] == [f"{namespace}{n}" for n in ("events", "numbers", "counts-changelog")]
    await create(kafka, declared)
    await create(kafka, declared)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        found = await admin.describe_topics([new.name for new in declared])
        assert [len(one["partitions"]) for one in found] == [3, 3, 3]
        resource = ConfigResource(ConfigResourceType.TOPIC, f"{namespace}counts-changelog")
        (response,) = await admin.describe_configs([resource])
        assert ("cleanup.policy", "compact") in [entry[:2] for entry in response.resources[0][4]]
    finally:
        await admin.close()


async def test_another_number_of_partitions_is_refused_with_the_next_step(kafka: str, namespace: str) -> None:
    await create(kafka, Topics(namespace, 3).declared([STAGE], []))
    with pytest.raises(ConfigError, match="has 3 partitions, 4 are set") as raised:
        await create(kafka, Topics(namespace, 4).declared([STAGE], []))
    assert "node.partitions" in raised.value.hint
