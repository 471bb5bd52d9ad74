"""The trouble that people order: refused requests, lost and late answers, exhaustion, and the disorder of events.

Promises: those of disorder.py, for requests too.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from isthmus.simulators.disorder import Disorder
from isthmus.simulators.operations.events import Posting
from isthmus.simulators.operations.faults import Fault, throttled

Scope = Literal["writes", "reads", "all"]
Priority = Literal["low", "medium", "high"]
RANKS = {"none": 0, "low": 1, "medium": 2, "high": 3}


class Trouble(Disorder[Posting]):
    """Requests of a `priority` not above `exhausted` are throttled, to come back after `retry_after` seconds; the knobs of
    events are those of disorder.py."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.priority: Priority = "medium"
        self.exhausted: Literal["none", "low", "medium", "high"] = "none"
        self.retry_after = 5.0
        self.hidden: set[str] = set()
        self._failures: deque[tuple[Scope, Fault]] = deque()
        self._lost: deque[tuple[float | None, int]] = deque()

    def fail_next(
        self,
        n: int,
        status: int,
        *,
        message: str = "An error has occurred.",
        retry_after: float | None = None,
        scope: Scope = "writes",
    ) -> None:
        """Refuse the next n requests of that scope, unprocessed."""
        self._failures.extend([(scope, Fault(status, message, "", retry_after))] * n)

    def hide(self, *collections: str) -> None:
        """The application's user has no right to these entity sets."""
        self.hidden.update(collections)

    def lose_answers(self, n: int, *, late: float | None = None, blind: int = 0) -> None:
        """Carry out the next n writes but break the connection instead of answering; with `late` they are carried out
        only so many seconds after. So many reads after each are refused (`blind`)."""
        self._lost.extend([(late, blind)] * n)

    def recover(self) -> None:
        """Forget the trouble that is still to come, and who holds rows."""
        super().recover()
        self._failures.clear()
        self._lost.clear()
        self.exhausted = "none"

    @property
    def failing(self) -> bool:
        """Is there a refusal that no request has met yet?"""
        return bool(self._failures)

    def failure_for(self, *, write: bool) -> Fault | None:
        """Takes the failure that this request meets, if any."""
        if RANKS[self.priority] <= RANKS[self.exhausted]:
            return throttled(self.retry_after)
        if self._failures and self._failures[0][0] in ("all", "writes" if write else "reads"):
            return self._failures.popleft()[1]
        return None

    def lost_answer(self) -> tuple[float | None] | None:
        """Takes one lost answer, with its delay, if any is due."""
        if not self._lost:
            return None
        late, blind = self._lost.popleft()
        self.fail_next(blind, 503, scope="reads")
        return (late,)
