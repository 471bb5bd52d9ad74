"""The trouble that people order: Web API failures to come, and the disorder of asynchronous webhooks.

Promises: those of disorder.py, for requests too.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from isthmus.simulators.disorder import Disorder
from isthmus.simulators.dynamics.faults import Fault
from isthmus.simulators.dynamics.webhooks import Posting

Scope = Literal["writes", "reads", "all"]


class Trouble(Disorder[Posting]):
    """Failures of the Web API are queued by `fail_next` and `lose_answers`; the other knobs are those of disorder.py."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
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
        """Forget the failures that are still to come, and who holds rows."""
        super().recover()
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
