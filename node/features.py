"""What the brokers of a Kafka cluster have agreed on: its finalized features, by name and level.

Promises: asks one broker once; a Kafka that knows no features has none.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

TRANSACTIONS = "transaction.version"
# The highest under which a broker that is killed between a commit and its markers writes them when it is back: above 0, a
# Kafka 4.3.1 forgets them for clients that speak as ours does, and their partitions stand still (docs/adr/0007).
WHOLE_TRANSACTIONS = 0
MAY_HANG = (
    "where brokers are killed, commits may hang: kafka-features.sh downgrade --feature transaction.version=0"
    " (docs/adr/0007)"
)
FINALIZED = 2  # the tag of the field, KIP-584
_features = CompactArray(
    ("name", CompactString("utf-8")), ("highest", Int16), ("lowest", Int16), ("tags", TaggedFields)
)


class _Answer(Response):  # type: ignore[misc]
    API_KEY = 18
    API_VERSION = 3
    SCHEMA = Schema(
        ("error_code", Int16),
        ("versions", CompactArray(("key", Int16), ("lowest", Int16), ("highest", Int16), ("tags", TaggedFields))),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )


class _Question(RequestStruct):  # type: ignore[misc]
    API_KEY = 18
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(("software", CompactString("utf-8")), ("version", CompactString("utf-8")), ("tags", TaggedFields))

    def parse_response_header(self, read_buffer: BytesIO | bytes) -> ResponseHeader_v0:
        """Of all flexible answers only this one has the old header: who asks does not know yet what is spoken."""
        return ResponseHeader_v0.decode(read_buffer)


class _Ask(Request[_Question]):  # type: ignore[misc]
    API_KEY = 18

    def build(self, request_struct_class: type[_Question]) -> _Question:
        return request_struct_class("isthmus", "1", {})


async def features(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Each feature's level."""
    told: Any = await admin._send_request(_Ask())
    held = told.tags.get(FINALIZED)
    return {} if held is None else {name: highest for name, highest, *_ in _features.decode(BytesIO(held)) or ()}


async def advise(bootstrap: str) -> str | None:
    """What an operator should know of this cluster before it is relied upon; None where all is well."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        return MAY_HANG if transactions_may_hang(await features(admin)) else None
    finally:
        await admin.close()


def transactions_may_hang(found: dict[str, int]) -> bool:
    """Does this cluster, killed in the middle of a commit, forget to finish it? (docs/adr/0007)"""
    return found.get(TRANSACTIONS, 0) > WHOLE_TRANSACTIONS
