"""Parking: what deliver cannot write now waits in its table, in the order in which it is due.

Promises: one place a record; whoever takes a write out sees nothing of those that are not due yet, however many they are;
`delivery_parked` in the ledger is how many wait.
"""

from __future__ import annotations

from isthmus.tables.deliveries import DUE, INDEX, Deliveries, Parked, index_key, indexed
from isthmus.tables.unit import Unit


def park(unit: Unit, table: Deliveries, parked: Parked) -> None:
    """Let a write wait; its record has no place among the waiting now."""
    canonical = parked.write.canonical
    unit.put(table, canonical.encode(), parked)
    unit.put(table, index_key(parked.due, canonical), parked.due)
    first = first_due(unit, table)
    unit.put(table, DUE, parked.due if first is None else min(first, parked.due))
    unit.count(parked.write.system, parked.write.entity, "delivery_parked")


def lift(unit: Unit, table: Deliveries, canonical: str) -> Parked | None:
    """Take a record's write out, where one waits."""
    parked = unit.get(table, canonical.encode())
    if not isinstance(parked, Parked):
        return None
    unit.put(table, canonical.encode(), None)
    unit.put(table, index_key(parked.due, canonical), None)
    unit.count(parked.write.system, parked.write.entity, "delivery_parked", -1)
    return parked


def take(unit: Unit, table: Deliveries, now: float, most: int) -> tuple[list[Parked], bool]:
    """Take out what is due, the longest due first, `most` at once; is more of it due?"""
    first = first_due(unit, table)
    if first is None or first > now:
        return [], False
    taken: list[Parked] = []
    following: float | None = None
    for key in unit.keys(table.name, INDEX, index_key(first)):
        due, canonical = indexed(key)
        if due > now or len(taken) >= most:
            following = due
            break
        if parked := lift(unit, table, canonical):
            taken.append(parked)
    unit.put(table, DUE, following)
    return taken, following is not None and following <= now


def first_due(unit: Unit, table: Deliveries) -> float | None:
    """Nothing that waits is due before."""
    due = unit.get(table, DUE)
    return due if isinstance(due, float) else None


def adopt(unit: Unit, table: Deliveries) -> None:
    """Index what was parked before there was an index."""
    for key, raw in list(unit.views[table.name].scan()):
        parked = None if key.startswith(b"\xff") else table.decode(raw)
        if isinstance(parked, Parked):
            unit.put(table, index_key(parked.due, parked.write.canonical), parked.due)
