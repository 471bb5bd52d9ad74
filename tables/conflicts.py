"""Conflicts: two systems said different things of a field at about the same time, so a person should see both.

Promises: the rule has decided all the same; whichever of the two comes second finds it, and it has one id whatever the
order; what only one system is asked about, and what nobody knows the time of, is no conflict. Of fields that move together
one value loses where another field decided, and is asked of too. No clock, no chance, no I/O.
The times are the systems' own (a Salesforce commit, a Dynamics modifiedon); their clocks may differ by more than they say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from isthmus.codecs.change import Value
from isthmus.codecs.linked import Decide, Linked
from isthmus.codecs.reviews import STEWARD, Review, Side
from isthmus.config.choices import Choice
from isthmus.config.followed import Followed
from isthmus.tables.golden import Golden
from isthmus.tables.heard import Heard
from isthmus.tables.precedence import same
from isthmus.tables.registers import Held, Once, Register
from isthmus.tables.showing import speaking


def conflicts(golden: Golden, change: Linked, heard: Heard, mapping: Followed) -> tuple[Review, ...]:
    """What a change that was folded has brought into conflict, or settled."""
    if len(speaking(golden.registers)) < 2 or not mapping.conflict_seconds or change.system == STEWARD:
        return ()
    found = {name: _conflict(golden, change, name, heard.before.get(name), mapping) for name in heard.touched}
    for choice in dict.fromkeys(_groups(golden, change, heard, mapping)):
        found |= {review.field: review for review in _apart(golden, change, choice, heard, mapping)}
    return tuple(one for name, one in found.items() if one is not None and not _is_pinned(golden, name))


def _is_pinned(golden: Golden, name: str) -> bool:
    """Has a steward decided already?"""
    visible = golden.why(name)
    return visible is not None and visible.system == STEWARD


def _conflict(golden: Golden, change: Linked, name: str, before: Once | None, mapping: Followed) -> Review | None:
    mine = golden.registers[change.system][change.native_id].get(name)
    if mine is None or mine.derived or name not in mapping.heard.get(change.system, ()):
        return None
    for system, native_id, theirs in _others(golden, change.system, name, mapping):
        if same(mine.value, theirs.value) or not _near(mine.when, theirs.when, mapping.conflict_seconds):
            continue
        if before is not None and same(before[1], theirs.value):
            continue  # who changed it had the other's value before them
        here = _side(golden, name, change.system, change.native_id, mine)
        return _asked(golden, name, (here, _side(golden, name, system, native_id, theirs)))
    return _agreed(golden, name)


def _asked(golden: Golden, name: str, sides: tuple[Side, Side]) -> Review:
    golden.asked = sorted({*golden.asked, name})
    asked, at = conflict_id(golden.canonical, name), max(side.when for side in sides)
    return Review(asked, "conflict", golden.entity, golden.canonical, at, name, sides)


# -- fields that move together


def _groups(golden: Golden, change: Linked, heard: Heard, mapping: Followed) -> Iterator[Choice]:
    """The groups of which a change brought an opinion."""
    held, asked = golden.registers[change.system][change.native_id], mapping.heard.get(change.system, {})
    for name in heard.touched:
        if name in asked and asked[name].group and (register := held.get(name)) and not register.derived:
            yield asked[name]


def _apart(golden: Golden, change: Linked, choice: Choice, heard: Heard, mapping: Followed) -> Iterator[Review]:
    """Values of a group that one side changed while the other changed another field of it."""
    mine, names, seconds = golden.registers[change.system][change.native_id], choice.fields, mapping.conflict_seconds
    news = [name for name in names if name in heard.touched]
    before = {name: heard.before[name][1] if name in heard.before else _value(mine.get(name)) for name in names}
    for system, native_id, theirs in _records(golden, change.system, choice, mapping):
        if all(same(before[name], _value(theirs.get(name))) for name in names):
            continue  # who changed it had the other's values before them
        for name in names:
            one, other = mine.get(name), theirs.get(name)
            lost = name in news and _is_lost(one, other, map(theirs.get, names), seconds)
            if lost or _is_lost(other, one, map(mine.get, news), seconds):
                here = _side(golden, name, change.system, change.native_id, one)
                yield _asked(golden, name, (here, _side(golden, name, system, native_id, other)))


def _is_lost(one: Register | None, other: Register | None, told: Iterable[Register | None], seconds: float) -> bool:
    """One side says so of a field, and the other, which says nothing of it itself, told something else of the group?"""
    if one is None or one.derived or _is_opinion(other) or same(one.value, _value(other)):
        return False
    return any(it is not None and not it.derived and _near(one.when, it.when, seconds) for it in told)


def _records(golden: Golden, mine: str, choice: Choice, mapping: Followed) -> Iterator[tuple[str, str, Held]]:
    """The records of other systems that are asked about a group."""
    for system, natives in golden.registers.items():
        if system not in (mine, STEWARD) and choice.fields[0] in mapping.heard.get(system, ()):
            yield from ((system, native_id, held) for native_id, held in natives.items())


def _is_opinion(register: Register | None) -> bool:
    return register is not None and not register.derived


def _value(register: Register | None) -> Value:
    return None if register is None else register.value


def _when(register: Register | None) -> str:
    return "" if register is None else register.when


# -- what was asked


def _agreed(golden: Golden, name: str) -> Review | None:
    """Nobody contradicts any more: what was asked is settled."""
    if name not in golden.asked:
        return None
    golden.asked = [one for one in golden.asked if one != name]
    return Review(conflict_id(golden.canonical, name), "conflict", golden.entity, golden.canonical, closed=True)


def _others(golden: Golden, mine: str, name: str, mapping: Followed) -> Iterator[tuple[str, str, Register]]:
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


def _side(golden: Golden, name: str, system: str, native_id: str, register: Register | None) -> Side:
    visible = golden.why(name)
    counts = visible is not None and (visible.system, visible.native_id) == (system, native_id)
    change_id = "" if register is None else register.change_id
    return Side(system, native_id, _value(register), _when(register), change_id, counts)


def conflict_id(canonical: str, name: str) -> str:
    """What a conflict about a field is called."""
    return f"conflict/{canonical}/{name}"


def settled(order: Decide) -> Review:
    """A steward's decision about a field settles its conflict, if there is one."""
    return Review(conflict_id(order.canonical, order.field), "conflict", order.entity, order.canonical, closed=True)
