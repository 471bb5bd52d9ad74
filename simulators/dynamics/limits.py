"""Service protection limits of one user (dynamics.md §3.5): requests, their combined time, their number at once.

Promises: a sliding window on the environment's own clock; every refusal is 429 with Retry-After, longer the more a client
pushes on; nothing is limited until a knob is turned.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from isthmus.simulators.dynamics.faults import Fault

NUMBER, TIME, AT_ONCE = "0x80072322", "0x80072321", "0x80072326"


@dataclass
class Limits:
    """`requests` and `seconds` (of combined time) hold for any `window` seconds, `at_once` for any moment; None: no
    limit, though the real ones are 6000, 1200 and 52. A request counts `cost` seconds. `refusals` counts by code."""

    now: Callable[[], datetime]
    requests: int | None = None
    seconds: float | None = None
    at_once: int | None = None
    window: float = 300.0
    cost: float = 0.0
    busy: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    _spent: deque[datetime] = field(default_factory=deque)
    _pushed: int = 0

    def enter(self) -> Fault | None:
        """A request begins; the refusal it meets instead, if any."""
        now = self.now()
        while self._spent and now - self._spent[0] >= timedelta(seconds=self.window):
            self._spent.popleft()
        code = self._code()
        if code is not None:
            self._pushed += 1
            self.refusals[code] = self.refusals.get(code, 0) + 1
            return Fault(429, code, retry_after=self._wait(code, now))
        self._pushed = 0
        if self.requests is not None or self.seconds is not None:
            self._spent.append(now)
        self.busy += 1
        return None

    def leave(self) -> None:
        """A request that was let in ends."""
        self.busy -= 1

    def left(self) -> dict[str, str]:
        """The headers of an answer that tell what is left; none where nothing is limited."""
        told = {}
        if self.requests is not None:
            told["x-ms-ratelimit-limit-xrm-requests"] = str(self.requests)
            told["x-ms-ratelimit-burst-remaining-xrm-requests"] = str(max(0, self.requests - len(self._spent)))
        if self.seconds is not None:
            seconds = max(0.0, self.seconds - len(self._spent) * self.cost)
            told["x-ms-ratelimit-time-remaining-xrm-requests"] = f"{seconds:,.2f}"
        return told

    def _code(self) -> str | None:
        if self.at_once is not None and self.busy >= self.at_once:
            return AT_ONCE
        if self.requests is not None and len(self._spent) >= self.requests:
            return NUMBER
        if self.seconds is not None and len(self._spent) * self.cost >= self.seconds:
            return TIME
        return None

    def _wait(self, code: str, now: datetime) -> float:
        oldest = self._spent[0] if self._spent else now
        left = 1.0 if code == AT_ONCE else self.window - (now - oldest).total_seconds()
        return round(max(1.0, left) * (1 + self._pushed // 10))
