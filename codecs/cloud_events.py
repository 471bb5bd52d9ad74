"""CloudEvents on Kafka: a canonical event as the record that people read.

Promises: binary mode, one record an event, keyed by canonical id; its id follows from the record and its revision, so a
replay names it the same; its time is that of the change at its source, none where that is not known. It stands apart from
what an event says (codecs/events.py), which is a struct and so is not compiled.
"""

from __future__ import annotations

from isthmus.codecs.events import SOURCE, Body
from isthmus.codecs.frames import encode

Headers = list[tuple[str, bytes]]
SPECVERSION = ("ce_specversion", b"1.0")
SOURCE_HEADER = ("ce_source", SOURCE.encode())
JSON = ("content-type", b"application/json")


class CanonicalEvent:
    """One event: its kind, which is one of codecs/events.py, what it says, and the correlation that its cause brought."""

    __slots__ = ("body", "correlation", "kind")

    def __init__(self, kind: str, correlation: str, body: Body) -> None:
        self.kind = kind
        self.correlation = correlation
        self.body = body

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CanonicalEvent) and to_kafka(self) == to_kafka(other)

    @property
    def type(self) -> str:
        """The CloudEvents type."""
        return f"isthmus.{self.body.entity}.{self.kind}"


def to_kafka(event: CanonicalEvent) -> tuple[bytes, bytes, Headers]:
    """Key, value and headers of the event's record."""
    body = event.body
    canonical, time = body.id, body.cause.changed_at
    key = canonical.encode()
    headers: Headers = [
        SPECVERSION,
        ("ce_id", f"{canonical}/{body.revision}".encode()),
        SOURCE_HEADER,
        ("ce_type", event.type.encode()),
        ("ce_subject", key),
        ("ce_correlationid", event.correlation.encode()),
        JSON,
    ]
    if time:
        headers.append(("ce_time", time.encode()))
    return key, encode(body), headers
