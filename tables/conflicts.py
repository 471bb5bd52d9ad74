"""Conflicts: two systems said different things of a field at about the same time, so a person should see both.

Promises: the rule has decided all the same; whichever of the two comes second finds it, and it has one id whatever the
order; what only one system is asked about, and what nobody knows the time of, is no conflict. No clock, no chance, no I/O.
The times are the systems' own (a Salesforce commit, a Dynamics modifiedon); their clocks may differ by more than they say.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from isthmus.codecs.linked import Decide, Linked
from isthmus.codecs.reviews import STEWARD, Review, Side
from isthmus.config.mapping import EntityMapping
from isthmus.tables.golden import Golden
from isthmus.tables.hearing import Heard
from isthmus.tables.precedence import same
from isthmus.tables.registers import Once, Register


def conflicts(golden: Golden, change: Linked, heard: Heard, mapping: EntityMapping) -> tuple[Review, ...]:
    """What a change that was folded has brought into conflict, or settled."""
    if len(golden.registers) < 2 or not mapping.conflict_seconds or change.system == STEWARD:
        return ()
    found = (_conflict(golden, change, name, heard.before.get(name), mapping) for name in heard.touched)
    return tuple(review for review in found if review is not None)


def _conflict(golden: Golden, change: Linked, name: str, before: Once | None, mapping: EntityMapping) -> Review | None:
    mine = golden.registers[change.system][change.native_id].get(name)
    if mine is None or mine.derived or name not in mapping.heard.get(change.system, ()):
        return None
    for system, native_id, theirs in _others(golden, change.system, name, mapping):
        if same(mine.value, theirs.value) or not _near(mine.when, theirs.when, mapping.conflict_seconds):
            continue
        if before is not None and same(before[1], theirs.value):
            continue  # who changed it had the other's value before them
        here = _side(golden, name, change.system, change.native_id, mine)
        sides = (here, _side(golden, name, system, native_id, theirs))
        golden.asked = sorted({*golden.asked, name})
        asked = conflict_id(golden.canonical, name)
        return Review(asked, "conflict", golden.entity, golden.canonical, max(mine.when, theirs.when), name, sides)
    return _agreed(golden, name)


def _agreed(golden: Golden, name: str) -> Review | None:
    """Nobody contradicts any more: what was asked is settled."""
    if name not in golden.asked:
        return None
    golden.asked = [one for one in golden.asked if one != name]
    return Review(conflict_id(golden.canonical, name), "conflict", golden.entity, golden.canonical, closed=True)


def _others(golden: Golden, mine: str, name: str, mapping: EntityMapping) -> Iterator[tuple[str, str, Register]]:
    """The opinions of other systems that are asked about the field."""
    for system, natives in golden.registers.items():
        if system not in (mine, STEWARD) and name in mapping.heard.get(system, ()):
            for native_id, held in natives.items():
                register = held.get(name)
                if register is not None and not register.derived:
                    yield system, native_id, register


def _near(one: str, other: str, seconds: float) -> bool:
    try:
        return abs((datetime.fromisoformat(one) - datetime.fromisoformat(other)).total_seconds()) <= seconds
    except (ValueError, TypeError):  # one is not known, or does not say its time zone
        return False


def _side(golden: Golden, name: str, system: str, native_id: str, register: Register) -> Side:
    visible = golden.why(name)
    counts = visible is not None and (visible.system, visible.native_id) == (system, native_id)
    return Side(system, native_id, register.value, register.when, register.change_id, counts)


def conflict_id(canonical: str, name: str) -> str:
    """What a conflict about a field is called."""
    return f"conflict/{canonical}/{name}"


def settled(order: Decide) -> Review:
    """A steward's decision about a field settles its conflict, if there is one."""
    return Review(conflict_id(order.canonical, order.field), "conflict", order.entity, order.canonical, closed=True)
