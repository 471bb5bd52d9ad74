"""Orders: what people want done, put on Kafka for the owner of the partition that it concerns.

Promises: `send` returns when Kafka has it; what was sent twice by a retry stands there once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from isthmus.codecs.frames import encode
from isthmus.node.topics import Topics

ORDER_BYTES = 4 << 20


class Orders:
    """Of one worker."""

    def __init__(self, bootstrap: str, topics: Topics) -> None:
        self._topics = topics
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, max_request_size=ORDER_BYTES
        )

    async def open(self) -> None:
        """Connect to Kafka."""
        await self._producer.start()

    async def close(self) -> None:
        """Send what waits and disconnect."""
        await self._producer.stop()

    async def send(self, topic: str, orders: Mapping[int, Sequence[Any]]) -> None:
        """Put orders on a topic, by partition; KafkaError where nothing is known of it."""
        name = self._topics.topic(topic)
        sends = (self._producer.send_and_wait(name, encode(some), partition=one) for one, some in orders.items())
        await asyncio.gather(*sends)
