"""The deliveries table: writes that could not be carried out yet, when to try them again, and the target's breaker.

Promises: one entry a golden record, the newest wish; an index by due time, so that what is due is found without looking
at what is not; waits double from `base` to `cap` with full jitter taken from the record's own id and attempt, so that a
replay waits the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from isthmus.tables.breaker import Breaker
from isthmus.tables.golden import DesiredWrite
from isthmus.tables.unit import Table

# Not after when the first write is due: where a look at the index begins, behind all that was deleted from it.
DUE = b"\xff\xffdue"
INDEX = DUE + b"/"
GATE = b"\xff\xffgate"
ENDED = b"\xff\xffended"


@dataclass(frozen=True, slots=True)
class Patience:
    """How a write is retried: seconds, the number of attempts after which it is a dead letter, and the seconds since the
    first one that failed after which one more failure is the last."""

    base: float = 1.0
    cap: float = 300.0
    attempts: int = 20
    age: float = 86_400.0

    def wait(self, canonical: str, attempt: int, retry_after: float | None) -> float:
        """Seconds until the attempt after this one (from 1); a platform's own word is the least."""
        longest = min(self.cap, self.base * 2.0 ** (attempt - 1))
        share = int.from_bytes(hashlib.blake2b(f"{canonical}/{attempt}".encode(), digest_size=4).digest()) / 2**32
        return max(retry_after or 0.0, longest * (0.5 + share / 2))

    def ends(self, attempts: int, since: float, now: float) -> bool:
        """Is it given up after so many attempts, the first of which failed then?"""
        return attempts >= self.attempts or now - since >= self.age


class Tried(msgspec.Struct, frozen=True, gc=False):
    """An attempt that failed: when (epoch seconds), and how."""

    at: float
    code: str
    error: str


class Parked(msgspec.Struct, frozen=True, gc=False):
    """A write that waits: attempts so far that counted, when it is due (epoch seconds), the last error, and the newest
    attempts."""

    write: DesiredWrite
    attempts: int
    due: float
    error: str
    tried: tuple[Tried, ...] = ()


Deliveries = Table[Parked | float | str]


def deliveries(system: str) -> Deliveries:
    """The table of a system: parked writes by canonical id; under INDEX, when each is due; under DUE, when the first one
    is; as text under GATE the breaker and under ENDED when records were let end, for only one kind of struct can go
    without a tag."""
    return Table(f"deliveries-{system}", Parked | float | str)


def gate(breaker: Breaker) -> str:
    """A breaker as it is kept."""
    return msgspec.json.encode(breaker).decode()


def breaker_of(kept: Parked | float | str | None) -> Breaker:
    """A breaker as it was kept; a closed one where none was."""
    return msgspec.json.decode(kept, type=Breaker) if isinstance(kept, str) else Breaker()


def index_key(due: float, canonical: str = "") -> bytes:
    """A parked write's place in the order of what is due; keys sort as times do."""
    return INDEX + f"{max(0.0, due):017.6f}/{canonical}".encode()


def indexed(key: bytes) -> tuple[float, str]:
    """When, and which record, an index key names."""
    due, _, canonical = key.removeprefix(INDEX).decode().partition("/")
    return float(due), canonical
