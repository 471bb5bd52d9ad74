"""The trouble that every platform with webhooks makes on request: its edge, rows that others hold, transactions that are
rolled back, deliveries that are lost, late, doubled and out of order.

Promises: what happens to which delivery follows from the seed and the order they come in.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from isthmus.simulators.outage import Outage

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Dispatch(Generic[P]):
    """What is to become of a posting: sent `copies` times after `delay` seconds; no copies: it never arrives."""

    posting: P
    copies: int
    delay: float


class Disorder(Generic[P]):
    """Knobs that may be turned at any time. Deliveries: every n-th is sent twice (`duplicate_every`) or fails unsent
    (`drop_every`), 0 is never; `shuffle` mixes those that wait together; `delay` is the longest wait in seconds, each one's
    own is drawn. `locked`: ids of rows that someone else holds; `outage`: trouble at the edge while it is served."""

    def __init__(self, seed: int) -> None:
        self.duplicate_every = 0
        self.drop_every = 0
        self.shuffle = False
        self.delay = 0.0
        self.outage = Outage()
        self.locked: set[str] = set()
        self._chance = random.Random(f"trouble/{seed}")
        self._dispatched = 0
        self._roll_backs = 0

    def lock(self, *ids: str) -> None:
        """Someone else holds these rows: no write of them is carried out until `recover`."""
        self.locked.update(ids)

    def roll_back(self, n: int = 1) -> None:
        """The next n writes of programs are carried out as far as others get to hear of them, and then taken back."""
        self._roll_backs += n

    def recover(self) -> None:
        """Forget the trouble that is still to come, and who holds rows."""
        self.locked.clear()
        self._roll_backs = 0

    def is_rolled_back(self) -> bool:
        """Takes one rollback, if any is due."""
        due = self._roll_backs > 0
        self._roll_backs -= int(due)
        return due

    def arrange(self, postings: Iterable[P]) -> list[Dispatch[P]]:
        """What becomes of postings that wait together, in the order of their start."""
        arranged = [self._dispatch(posting) for posting in postings]
        if self.shuffle:
            self._chance.shuffle(arranged)
        return arranged

    def _dispatch(self, posting: P) -> Dispatch[P]:
        self._dispatched += 1
        dropped = self.drop_every and self._dispatched % self.drop_every == 0
        twice = self.duplicate_every and self._dispatched % self.duplicate_every == 0
        delay = self._chance.uniform(0, self.delay) if self.delay else 0.0
        return Dispatch(posting, 0 if dropped else 2 if twice else 1, delay)
