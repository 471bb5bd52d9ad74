"""Budgets: may this use of a platform make calls now, how many, and if not, when is it to ask again?

What is `allowed` falls into the reserve, which we leave to others, and the rest. Of the rest `interactive` may use all,
`batch` a share, by night another one. All shares are compared with what everybody used, as the platform's own answers
tell; so batch stops first, then interactive, and people go on.

Promises: pure; the time is told. No grant takes what is used above a use's share, as far as it was told; what is used
fades over the limit's window while nobody asks, so a budget is never closed for good. Interactive is let in wherever
batch is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from isthmus.codecs.limits import Limit, Use

State = Literal["free", "nearly", "waits"]
USES: tuple[Use, ...] = ("interactive", "batch")
# A call takes many records (Composite 25, Collections 200, $batch hundreds); this is the least of them.
RECORDS_A_CALL = 25
# Who waits looks again after so many seconds at the latest, and not sooner than this.
LONGEST, SHORTEST = 900.0, 1.0
# From this share of what it may use on, a use is said to be nearly used up.
NEARLY = 0.9
# Shares are no exact numbers.
CLOSE = 1e-6


@dataclass(frozen=True, slots=True)
class Budget:
    """Shares: `reserve` of what is allowed; `batch` and `batch_at_night` of the rest. `night`: hours (UTC) from, to; the
    same twice: there is none."""

    reserve: float = 0.05
    batch: float = 0.75
    batch_at_night: float = 0.95
    night: tuple[int, int] = (20, 5)

    def share(self, use: Use, *, night: bool) -> float:
        """Of what is allowed, up to where this use may go."""
        rest = 1.0 - self.reserve
        if use == "interactive":
            return rest
        return rest * (self.batch_at_night if night else self.batch)

    def is_night(self, at: float) -> bool:
        """Is it night then (epoch seconds)?"""
        first, last = self.night
        hour = datetime.fromtimestamp(at, UTC).hour
        return first <= hour < last if first <= last else hour >= first or hour < last

    def periods(self, now: float) -> Iterator[tuple[float, float, bool]]:
        """From now on for a day and more: from when to when it is day or night, and whether it is night."""
        hour = datetime.fromtimestamp(now, UTC).replace(minute=0, second=0, microsecond=0)
        start, night = now, self.is_night(now)
        for ahead in range(1, 49):
            end = (hour + timedelta(hours=ahead)).timestamp()
            if self.is_night(end) != night or ahead == 48:
                yield start, end, night
                start, night = end, not night


class Grant(NamedTuple):
    """So many records may go now; the others are to ask again at `until` (epoch seconds), for `limit` is used up."""

    records: int
    until: float
    limit: str = ""


class Standing(NamedTuple):
    """How a use of a limit stands. `may`: up to where it may go; `left` of that; `until`: when it may go on, where it
    waits; `runs_out`: when it will have used that up at the present pace, None: not within the limit's window."""

    limit: Limit
    use: Use
    state: State
    may: float
    left: float
    until: float | None
    runs_out: float | None


def grant(limits: Sequence[Limit], budget: Budget, use: Use, wanted: int, now: float, taken: int = 0) -> Grant:
    """How many of the wanted records may go now; `taken`: calls that were granted already and are in no answer yet. A
    platform that tells nothing limits nothing."""
    calls = min((room(limit, budget, use, now) - taken for limit in limits), default=wanted)
    records = min(wanted, max(0, calls) * RECORDS_A_CALL)
    if records == wanted:
        return Grant(wanted, now)
    latest = max(limits, key=lambda one: free_at(one, budget, use, now))
    until = max(free_at(latest, budget, use, now), now + SHORTEST)
    return Grant(records, min(until, now + LONGEST), latest.name)


def spacing(limits: Iterable[Limit], budget: Budget, use: Use, now: float) -> float:
    """Seconds in which the limits' windows give back what one record takes."""
    share = max(budget.share(use, night=budget.is_night(now)), CLOSE)
    given_back = (share * limit.allowed * RECORDS_A_CALL / limit.window for limit in limits if limit.allowed > 0)
    return min(1.0, 1.0 / min(given_back, default=1.0))


def cost(records: int) -> int:
    """Calls that so many records take, as far as a grant goes."""
    return -(-records // RECORDS_A_CALL)


def used(limit: Limit, now: float) -> float:
    """What counts as used now: as told, fading over the window."""
    age = max(0.0, now - limit.at)
    return limit.used * max(0.0, 1.0 - age / limit.window)


def room(limit: Limit, budget: Budget, use: Use, now: float) -> int:
    """Calls that this use may still make. Of time, a call is taken for a second."""
    share = budget.share(use, night=budget.is_night(now))
    return max(0, math.floor(share * limit.allowed - used(limit, now) + CLOSE))


def free_at(limit: Limit, budget: Budget, use: Use, now: float) -> float:
    """When this use may make its next call, not before now; two days from now where it never may."""
    if room(limit, budget, use, now):
        return now
    end = now
    for start, end, night in budget.periods(now):
        fits = budget.share(use, night=night) * limit.allowed - 1.0 + CLOSE
        at = max(start, _faded(limit, fits))
        if at < end:
            return at
    return end


def _faded(limit: Limit, to: float) -> float:
    """When what was told as used has faded to this."""
    if to < 0:
        return math.inf
    if limit.used <= to:
        return limit.at
    return limit.at + limit.window * (1.0 - to / limit.used)


def standings(limits: Iterable[Limit], budget: Budget, now: float) -> list[Standing]:
    """How every use of every limit stands."""
    return [_standing(limit, budget, use, now) for limit in limits for use in USES]


def _standing(limit: Limit, budget: Budget, use: Use, now: float) -> Standing:
    may = budget.share(use, night=budget.is_night(now)) * limit.allowed
    spent = used(limit, now)
    left = max(0.0, may - spent)
    waits = room(limit, budget, use, now) == 0
    state: State = "waits" if waits else "nearly" if spent >= NEARLY * may else "free"
    until = free_at(limit, budget, use, now) if waits else None
    return Standing(limit, use, state, may, left, until, None if waits else _runs_out(limit, left, now))


def _runs_out(limit: Limit, left: float, now: float) -> float | None:
    seconds = left / limit.pace if limit.pace > 0 else math.inf
    return now + seconds if seconds <= limit.window else None
