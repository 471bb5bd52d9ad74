"""The circuit breaker of a target: does it answer well enough to be called, and how many writes may go to it now?

closed ──(too many calls fail)──▶ open ──(a pause)──▶ half_open ──(a probe is answered)──▶ draining ──▶ closed
                                    ▲                     │ (it fails: a longer pause)         │
                                    └─────────────────────┴────────────(too many fail again)───┘
Promises: pure; the time is told, so a state that is kept goes on after a restart where it was; a clock that goes back
opens nothing and closes nothing. Nothing is called while open; while draining, what waited goes at a set rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

State = Literal["closed", "open", "half_open", "draining"]
BUCKETS = 10
PROBES = 3
UNIT_WRITES = 200
# A call counts once more for each of so many seconds that it took: else a target that lets every call wait is called too
# seldom to be heard of within the window.
SLOW_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Limits:
    """When it opens: at this `share` of failed calls within `window` seconds, of at least `calls`. How it closes: a probe
    after `base` seconds, doubling up to `longest`; then `rate` writes a second of those that waited."""

    share: float = 0.5
    window: float = 300.0
    calls: int = 5
    base: float = 1.0
    longest: float = 60.0
    rate: float = 100.0


class Room(NamedTuple):
    """How many writes may go now: of all (None: any number), and of those that waited."""

    most: int | None
    parked: int


class Call(NamedTuple):
    """What came of calling the target: how many writes, how many failed for the target's own sake, why, how long it
    asked to be left alone, and how long it took (seconds)."""

    writes: int
    failed: int
    reason: str = ""
    retry_after: float | None = None
    took: float = 0.0


class Breaker(msgspec.Struct, frozen=True, gc=False):
    """Times are epoch seconds. `since`: when it came into its state; `until`: when an open one probes next; `failures`:
    failed probes in a row; `opened`: how often it ever opened; `reason`: the last failure that mattered; `calls`: of the
    last minutes, as (bucket, calls, failed); `drained`: up to when the drain's rate is used up."""

    state: State = "closed"
    since: float = 0.0
    until: float = 0.0
    failures: int = 0
    opened: int = 0
    reason: str = ""
    calls: tuple[tuple[int, int, int], ...] = ()
    drained: float = 0.0

    def at(self, now: float) -> Breaker:
        """The same at a later time: an open one becomes half open when its pause is over."""
        if self.state == "open" and now >= self.until:
            return replace(self, state="half_open", since=now)
        return self

    def room(self, now: float, limits: Limits) -> Room:
        """How much may go now."""
        match self.state:
            case "open":
                return Room(0, 0)
            case "half_open":
                return Room(PROBES, PROBES)
            case "draining":
                return Room(None, min(UNIT_WRITES, int(self._idle(now, limits) * limits.rate + 1e-6)))
        return Room(None, UNIT_WRITES)

    def took(self, parked: int, now: float, limits: Limits, *, left: bool) -> Breaker:
        """So many of those that waited go now; `left`: more of them are due already."""
        if self.state != "draining":
            return self
        if not left:
            return replace(self, state="closed", since=now)
        return replace(self, drained=now - self._idle(now, limits) + parked / limits.rate)

    def _idle(self, now: float, limits: Limits) -> float:
        """Seconds of the drain's rate that are not used yet; what was not used long ago is lost."""
        return max(0.0, min(now - self.drained, max(2.0, 1.0 / limits.rate)))

    def next(self, first_due: float | None, limits: Limits) -> float | None:
        """When to look again; `first_due` is when the first write that waits is due, None: none waits."""
        if self.state == "open":
            return self.until
        if self.state != "draining":
            return first_due
        soon = self.drained + max(1.0, 1.0 / limits.rate)
        return soon if first_due is None else max(first_due, soon)  # none waits: to close

    # -- what came of a call

    def heard(self, call: Call, now: float, limits: Limits) -> Breaker:
        """After a call. One that failed for half of its writes failed, as far as a share of 0.5 goes."""
        if call.writes == 0:
            return self
        failed = call.failed > 0 and call.failed >= limits.share * call.writes
        if self.state == "half_open":
            return self._open(call, now, limits) if failed else self._drain(now)
        known = self._counted(1 + int(call.took / SLOW_SECONDS), failed, now, limits)
        return known._open(call, now, limits) if failed and known._too_many(limits) else known

    def _counted(self, times: int, failed: bool, now: float, limits: Limits) -> Breaker:
        bucket = int(now / (limits.window / BUCKETS))
        last = self.calls[-1] if self.calls else (bucket, 0, 0)
        before = self.calls[:-1] if last[0] >= bucket else self.calls
        _, calls, failures = last if last[0] >= bucket else (bucket, 0, 0)
        number = max(bucket, last[0])
        kept = tuple(one for one in before if number - BUCKETS < one[0])
        return replace(self, calls=(*kept, (number, calls + times, failures + failed * times)))

    def _too_many(self, limits: Limits) -> bool:
        calls = sum(one[1] for one in self.calls)
        return calls >= limits.calls and sum(one[2] for one in self.calls) >= limits.share * calls

    def _open(self, call: Call, now: float, limits: Limits) -> Breaker:
        again = self.failures + 1 if self.state == "half_open" else 0
        pause = max(call.retry_after or 0.0, min(limits.longest, limits.base * 2.0 ** min(again, 30)))
        opened = self.opened + (self.state != "half_open")
        return Breaker("open", now, now + pause, again, opened, call.reason[:200])

    def _drain(self, now: float) -> Breaker:
        return replace(self, state="draining", since=now, failures=0, calls=(), drained=now)
