"""The deliveries table: writes that could not be carried out yet, and when to try them again.

Promises: one entry a golden record, the newest wish; waits double from `base` to `cap` with full jitter taken from the
record's own id and attempt, so that a replay waits the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Patience:
    """How a write is retried: seconds, and the number of attempts after which it is a dead letter."""

    base: float = 1.0
    cap: float = 300.0
    attempts: int = 10

    def wait(self, canonical: str, attempt: int, retry_after: float | None) -> float:
        """Seconds until the attempt after this one (from 1); a platform's own word is the least."""
        longest = min(self.cap, self.base * 2.0 ** (attempt - 1))
        share = int.from_bytes(hashlib.blake2b(f"{canonical}/{attempt}".encode(), digest_size=4).digest()) / 2**32
        return max(retry_after or 0.0, longest * (0.5 + share / 2))


@dataclass(frozen=True, slots=True)
class Parked:
    """A write that waits: its wire form, attempts so far, when it is due (epoch seconds), and the last error."""

    write: Mapping[str, Any]
    attempts: int
    due: float
    error: str

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Parked:
        """What `to_wire` wrote."""
        return cls(wire["write"], wire["attempts"], wire["due"], wire["error"])
