"""The trouble that people order: Web API failures to come, and the disorder of asynchronous webhooks.

Promises: what happens to which request or posting follows from the seed and the order they come in.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from isthmus.simulators.dynamics.faults import Fault
from isthmus.simulators.dynamics.webhooks import Posting
from isthmus.simulators.outage import Outage

Scope = Literal["writes", "reads", "all"]


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What is to become of a posting: sent `copies` times after `delay` seconds; no copies: it never arrives."""

    posting: Posting
    copies: int
    delay: float


class Trouble:
    """Knobs of asynchronous webhooks, which may be turned at any time: every n-th is sent twice (`duplicate_every`) or
    fails unsent (`drop_every`), 0 is never; `shuffle` mixes those that wait together; `delay` is the longest wait in
    seconds, each posting's own is drawn. Failures of the Web API are queued by `fail_next` and `lose_answers`; `outage` is
    trouble at the environment's edge while it is served."""

    def __init__(self, seed: int) -> None:
        self.duplicate_every = 0
        self.drop_every = 0
        self.shuffle = False
        self.delay = 0.0
        self.outage = Outage()
        self._chance = random.Random(f"trouble/{seed}")
        self._dispatched = 0
        self._failures: deque[tuple[Scope, Fault]] = deque()
        self._lost_answers = 0

    def fail_next(
        self,
        n: int,
        status: int,
        code: str,
        retry_after: float | None = None,
        *,
        message: str | None = None,
        scope: Scope = "writes",
    ) -> None:
        """Refuse the next n requests of that scope, unprocessed. The message is the platform's own for its code."""
        self._failures.extend([(scope, Fault(status, code, message, retry_after))] * n)

    def lose_answers(self, n: int) -> None:
        """Carry out the next n writes but break the connection instead of answering."""
        self._lost_answers += n

    def recover(self) -> None:
        """Forget the failures that are still to come."""
        self._failures.clear()
        self._lost_answers = 0

    def failure_for(self, *, write: bool) -> Fault | None:
        """Takes the failure that this request meets, if any."""
        if not self._failures or self._failures[0][0] not in ("all", "writes" if write else "reads"):
            return None
        return self._failures.popleft()[1]

    def answer_is_lost(self) -> bool:
        """Takes one lost answer, if any is due."""
        lost = self._lost_answers > 0
        self._lost_answers -= int(lost)
        return lost

    def arrange(self, postings: Iterable[Posting]) -> list[Dispatch]:
        """What becomes of asynchronous postings that wait together, in the order of their start."""
        arranged = [self._dispatch(posting) for posting in postings]
        if self.shuffle:
            self._chance.shuffle(arranged)
        return arranged

    def _dispatch(self, posting: Posting) -> Dispatch:
        self._dispatched += 1
        dropped = self.drop_every and self._dispatched % self.drop_every == 0
        twice = self.duplicate_every and self._dispatched % self.duplicate_every == 0
        delay = self._chance.uniform(0, self.delay) if self.delay else 0.0
        return Dispatch(posting, 0 if dropped else 2 if twice else 1, delay)
