"""What the software of a Kafka's brokers can do at most, by which its release is known.

Promises: asks one broker once; a Kafka that knows no features tells of none.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

METADATA = "metadata.version"
# Kafka 4.3's. From it on (4.4.0 as well) a broker that starts takes a partition without a leader for a deleted one and
# leaves out the markers of commits that it had promised (docs/adr/0007).
FORGETS_COMMITS = 30
MAY_HANG = (
    "Kafka 4.3 and 4.4 forget commits where all copies of a partition were down at once, and the partition stands still:"
    " run 4.2, or keep copies on several brokers (docs/adr/0007)"
)
SUPPORTED = 0  # the tag of the field, KIP-584
_features = CompactArray(
    ("name", CompactString("utf-8")), ("lowest", Int16), ("highest", Int16), ("tags", TaggedFields)
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


async def supported(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """The highest level of each feature that the broker's software knows, whatever the cluster has agreed on."""
    told: Any = await admin._send_request(_Ask())
    held = told.tags.get(SUPPORTED)
    return {} if held is None else {name: highest for name, _, highest, _ in _features.decode(BytesIO(held)) or ()}


async def advise(bootstrap: str) -> str | None:
    """What an operator should know of this cluster before it is relied upon; None where all is well."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        return MAY_HANG if commits_may_hang(await supported(admin)) else None
    finally:
        await admin.close()


def commits_may_hang(found: dict[str, int]) -> bool:
    """May this Kafka, killed in the middle of a commit, forget to finish it? (docs/adr/0007)"""
    return found.get(METADATA, 0) >= FORGETS_COMMITS
