"""The audit: what the node did by itself that people have to know of, one record each on the topic `audit`.

Promises: JSON with `kind`, `system`, `at` (RFC 3339) and `what` in words; whatever else the kind has is in `context`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from isthmus.codecs.frames import encode

CONTENT_TYPE = ("content-type", b"application/json")


class Audit(msgspec.Struct, frozen=True, gc=False):
    """One record; its key is the system, so that one system's records are read in their order."""

    kind: str
    system: str
    at: str
    what: str
    context: dict[str, Any] = {}

    def value(self) -> bytes:
        """JSON bytes."""
        return encode(self)


def audit(kind: str, system: str, at: float, what: str, **context: Any) -> Audit:
    """A record of something that happened at a time (epoch seconds)."""
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Audit(kind, system, when, what, context)
