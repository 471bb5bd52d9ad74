"""The ground that a trial shakes is as it was before."""

from __future__ import annotations

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chaos.ground import own_setting, setting

NAME = "max.message.bytes"


@pytest.mark.parametrize("before", ["5242880", None])
async def test_a_topic_that_refused_records_has_its_own_limit_again(
    kafka: str, namespace: str, before: str | None
) -> None:
    topic = f"{namespace}refusing"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={} if before is None else {NAME: before})])
    await admin.close()
    async with setting(kafka, topic, NAME, "512"):
        assert own_setting(kafka, topic, NAME) == "512"
    assert own_setting(kafka, topic, NAME) == before
