"""The deliveries table: writes that could not be carried out yet, and when to try them again.

Promises: one entry a golden record, the newest wish; waits double from `base` to `cap` with full jitter taken from the
record's own id and attempt, so that a replay waits the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from isthmus.tables.golden import DesiredWrite
from isthmus.tables.unit import Table

DUE = b"\xff\xffdue"


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


class Tried(msgspec.Struct, frozen=True, gc=False):
    """An attempt that failed: when (epoch seconds), and how."""

    at: float
    code: str
    error: str


class Parked(msgspec.Struct, frozen=True, gc=False):
    """A write that waits: attempts so far, when it is due (epoch seconds), the last error, and every attempt."""

    write: DesiredWrite
    attempts: int
    due: float
    error: str
    tried: tuple[Tried, ...] = ()


Deliveries = Table[Parked | float]


def deliveries(system: str) -> Deliveries:
    """The table of a system: parked writes by canonical id, and under DUE when the first of them is due."""
    return Table(f"deliveries-{system}", Parked | float)
