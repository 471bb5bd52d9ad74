"""CloudEvents on Kafka: a canonical event as the record that people read.

Promises: binary mode, one record an event, keyed by canonical id. It stands apart from the event, which is a struct and so
is not compiled.
"""

from __future__ import annotations

from isthmus.codecs.events import SOURCE, Body, CanonicalEvent
from isthmus.codecs.frames import encode

Headers = list[tuple[str, bytes]]
SPECVERSION = ("ce_specversion", b"1.0")
SOURCE_HEADER = ("ce_source", SOURCE.encode())
JSON = ("content-type", b"application/json")


def to_kafka(event: CanonicalEvent) -> tuple[bytes, bytes, Headers]:
    """Key, value and headers of the event's record."""
    canonical, time = event.canonical, event.time
    key = canonical.encode()
    headers: Headers = [
        SPECVERSION,
        ("ce_id", event.id.encode()),
        SOURCE_HEADER,
        ("ce_type", event.type.encode()),
        ("ce_subject", key),
        ("ce_correlationid", event.correlation.encode()),
        JSON,
    ]
    if time:
        headers.append(("ce_time", time.encode()))
    links, absorbed, redirect = event.links, event.absorbed, event.redirect
    body = Body(event.entity, canonical, event.revision, event.cause, event.changed, links, absorbed, redirect)
    return key, encode(body), headers
