"""What of the writes that are to go is paid for: interactive first; the others wait until their budget has room again.

Promises: what waits is parked as everything else that waits, so it counts as no attempt and a newer wish takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.agents.allowance import Allowance
from isthmus.agents.deliver_calls import Attempt
from isthmus.agents.deliver_outcomes import Target, park
from isthmus.tables.budgets import USES, cost
from isthmus.tables.unit import Unit


def afford(unit: Unit, target: Target, attempts: Sequence[Attempt], allowance: Allowance, now: float) -> list[Attempt]:
    """The attempts that may be made now, in their order."""
    allowance.tell(unit, now)
    waiting: set[str] = set()
    taken = 0
    for use in USES:
        mine = [one for one in attempts if one.wish.use == use]
        given = allowance.ask(use, len(mine), now, taken)
        taken += cost(given.records)
        for one in mine[given.records :]:
            why = f"the {given.limit} limit has no room for {use} calls"
            park(unit, target, one, allowance.turn(use, given.until, now), why)
            waiting.add(one.wish.canonical)
    return [one for one in attempts if one.wish.canonical not in waiting] if waiting else list(attempts)
