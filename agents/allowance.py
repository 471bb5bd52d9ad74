"""allowance: what the stages that call a platform ask before they do, and the word that goes out when an answer changes.

Promises: by what the platform itself told last, through whichever stage; nothing is kept, so a new process asks the
platform first and knows then. Stages of other partitions ask at the same time: each may take what one was granted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from isthmus.codecs.audit import CONTENT_TYPE, audit
from isthmus.codecs.limits import Use
from isthmus.systems.protocol import System, limits_of
from isthmus.tables.budgets import (
    LONGEST,
    RECORDS_A_CALL,
    SHORTEST,
    Budget,
    Grant,
    Standing,
    State,
    grant,
    spacing,
    standings,
)
from isthmus.tables.letters import timestamp
from isthmus.tables.unit import Record, Unit

EVERY_SECONDS = 1.0
LONGEST_SLEEP = 30.0
WORDS: dict[State, str] = {"free": "may go on", "nearly": "has nearly used up its share", "waits": "waits"}

log = structlog.get_logger()


class Allowance:
    """Of one platform. `budget`: the shares of its limits."""

    def __init__(self, system: System, budget: Budget | None = None) -> None:
        self._system = system
        self._budget = budget or Budget()
        self._states: dict[tuple[str, Use], State] = {}
        self._looked = 0.0
        self._turns: dict[Use, float] = {}

    def ask(self, use: Use, wanted: int, now: float, taken: int = 0) -> Grant:
        """How many records may go now; `taken`: calls that were granted just before."""
        return grant(limits_of(self._system), self._budget, use, wanted, now, taken)

    def turn(self, use: Use, until: float, now: float) -> float:
        """When the next record that waits is to ask again, not before `until`: one call's worth after another, as room
        comes back, so that many who wait neither all ask each time nor each alone."""
        at = max(until, min(self._turns.get(use, 0.0), until + LONGEST))
        gap = spacing(limits_of(self._system), self._budget, use, now)
        self._turns[use] = at + gap
        together = max(SHORTEST, RECORDS_A_CALL * gap)
        return max(until, at // together * together)

    async def enter(self, clock: Callable[[], float]) -> None:
        """Wait until an interactive call may be made."""
        while not (given := self.ask("interactive", 1, clock())).records:
            await asyncio.sleep(min(given.until - clock(), LONGEST_SLEEP))

    def standings(self, now: float) -> list[Standing]:
        """How every use of every limit stands."""
        return standings(limits_of(self._system), self._budget, now)

    def tell(self, unit: Unit, now: float) -> None:
        """Tell people what changed since the last time somebody looked."""
        if abs(now - self._looked) < EVERY_SECONDS:
            return
        self._looked = now
        for one in self.standings(now):
            before = self._states.get((one.limit.name, one.use), "free")
            self._states[one.limit.name, one.use] = one.state
            if one.state != before:
                _tell(unit, self._system.name, one, before, now)


def _tell(unit: Unit, system: str, one: Standing, before: State, now: float) -> None:
    context = {
        "limit": one.limit.name,
        "use": one.use,
        "before": before,
        "after": one.state,
        "used": round(one.limit.used),
        "allowed": round(one.limit.allowed),
        "until": None if one.until is None else timestamp(one.until),
        "runs_out": None if one.runs_out is None else timestamp(one.runs_out),
    }
    what = (
        f"{system}: {one.use} {WORDS[one.state]} ({one.limit.name}: {one.limit.used:,.0f} of {one.limit.allowed:,.0f})"
    )
    unit.publish(
        Record("audit", system.encode(), audit("budget", system, now, what, **context).value(), [CONTENT_TYPE])
    )
    say = log.info if one.state == "free" else log.warning
    say("a budget moved", system=system, **context)
