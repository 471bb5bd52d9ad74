"""Service protection (dynamics.md §3.5): how many requests go to an environment at once, and when none may.

The platform refuses for three reasons: the number of requests, their combined time, their number at once. What each makes
of us: after all of them the time it names is kept; after the last two fewer go at once, and more again as they succeed.
Promises: one refusal stops nobody, for it may be one server of many; a second in a row stops every request until the time
that was named, because pushing on makes it longer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from isthmus.config.errors import TransientError

AT_ONCE = 16
SHORT_WAIT = 2.0
SUCCESSES_FOR_ONE_MORE = 20
ROW = 2
TIME, AT_ONCE_LIMIT = "0x80072321", "0x80072326"


class Throttle:
    """`allowed`: how many requests may be under way; `clock` is monotonic, in seconds."""

    def __init__(self, at_once: int = AT_ONCE, clock: Callable[[], float] = time.monotonic) -> None:
        self.allowed = self._most = at_once
        self._clock = clock
        self._busy = 0
        self._refused = 0
        self._good = 0
        self._until = 0.0
        self._turn = asyncio.Condition()

    async def enter(self) -> None:
        """Wait for a turn; TransientError with the time to wait where the platform wants to be left alone for longer than
        a moment."""
        await self._rest()
        async with self._turn:
            await self._turn.wait_for(lambda: self._busy < self.allowed)
            self._busy += 1

    async def leave(self) -> None:
        """The request is over."""
        async with self._turn:
            self._busy -= 1
            self._turn.notify_all()

    def accepted(self) -> None:
        """The platform took a request."""
        self._refused = 0
        self._good += 1
        if self._good >= SUCCESSES_FOR_ONE_MORE and self.allowed < self._most:
            self.allowed, self._good = self.allowed + 1, 0

    def refused(self, code: str, retry_after: float | None) -> None:
        """The platform refused one for its limits."""
        self._refused += 1
        self._good = 0
        self._until = max(self._until, self._clock() + (retry_after or 0.0))
        if code in (TIME, AT_ONCE_LIMIT):
            self.allowed = max(1, self.allowed // 2)

    async def _rest(self) -> None:
        remaining = self._until - self._clock()
        if self._refused < ROW or remaining <= 0:
            return
        if remaining > SHORT_WAIT:
            raise TransientError("Dynamics asked for a pause", code="THROTTLED", retry_after=remaining)
        await asyncio.sleep(remaining)
