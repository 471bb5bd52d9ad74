"""Withdrawals: what a golden record wished that has become another one, taken back before it is written.

Promises: once merge hears `Settled`, nothing the record wished of this system up to that revision will be written any more;
whatever was written before was reported before.
"""

from __future__ import annotations

from isthmus.agents.deliver_outcomes import Target
from isthmus.agents.deliver_parking import lift
from isthmus.codecs.linked import Settled
from isthmus.tables.golden import DesiredWrite
from isthmus.tables.unit import Unit


def withdraw(unit: Unit, target: Target, wishes: list[DesiredWrite]) -> list[DesiredWrite]:
    """The wishes that are left; of a record that is taken back, none that came before, nor what is parked of it."""
    if not any(wish.withdrawn for wish in wishes):
        return wishes
    left: list[DesiredWrite] = []
    for wish in wishes:
        if wish.withdrawn:
            left = _take_back(unit, target, left, wish)
        else:
            left.append(wish)
    return left


def _take_back(unit: Unit, target: Target, left: list[DesiredWrite], wish: DesiredWrite) -> list[DesiredWrite]:
    kept = [older for older in left if older.canonical != wish.canonical]
    parked = lift(unit, target.table, wish.canonical)
    unit.count(target.system, wish.entity, "delivery_superseded", len(left) - len(kept) + (parked is not None))
    settled = Settled(wish.canonical, wish.canonical, wish.system, wish.entity, wish.revision, wish.correlation)
    unit.send("merge", wish.canonical.encode(), settled)
    return kept
