"""What people say of who is who, put on Kafka for identify: by `isthmus identity`, or as the answer to a question.

Promises: durable when it is answered; identify does it in its turn (agents/identities.py).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from isthmus.agents.identities import TOPIC
from isthmus.codecs.identities import Action, Decision, Native
from isthmus.config.mapping import Mappings
from isthmus.node.orders import Orders
from isthmus.tables.letters import timestamp
from isthmus.tables.unit import partition_of


class Who:
    """Says it to the one partition of an entity's family."""

    def __init__(self, mappings: Mappings, orders: Orders, partitions: int) -> None:
        self._mappings = mappings
        self._orders = orders
        self._partitions = partitions

    async def say(
        self, action: Action, entity: str, records: Sequence[Native], by: str, why: str = "", review: str = ""
    ) -> Decision:
        """These records are one, are not, or one leaves its golden record; `review`: the question that this answers.
        KeyError where there is no such entity, KafkaError where Kafka does not take it."""
        family = self._mappings.entities[entity].family
        order = Decision(
            uuid.uuid4().hex, action, entity, tuple(records), by, timestamp(time.time()), why=why, review=review
        )
        await self._orders.send(TOPIC, {partition_of(family.encode(), self._partitions): [order]})
        return order
