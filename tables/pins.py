"""Pins: what a steward decides about a field, as a change of a system of its own, whose word comes first.

Promises: a pin joins by its time as every change does, so the order of arrival does not matter; taken back, it leaves what
the systems say, or what was there before it where none of them has an opinion. Fields of a group are pinned together, so
that they still come from one place. No clock, no chance, no I/O.
"""

from __future__ import annotations

from isthmus.codecs.change import Operation, Value
from isthmus.codecs.linked import Decide, Linked
from isthmus.codecs.reviews import STEWARD
from isthmus.config.mapping import EntityMapping
from isthmus.tables.golden import Golden
from isthmus.tables.precedence import Register

# The record that a golden record's pins are said of.
PINS = "pins"


def as_change(golden: Golden, order: Decide, mapping: EntityMapping) -> Linked:
    """The change that a decision is. What the fields were before a pin is kept on the golden record."""
    choice = mapping.choices.get(order.field)
    names = (order.field,) if choice is None else choice.fields
    told = _told(golden, order, names) if _is_news(golden, order) else {}
    fields = {name: value for name, value in told.items() if value is not None}
    cleared = tuple(name for name, value in told.items() if value is None)
    operation: Operation = "update" if order.action == "pin" else "delete"
    return Linked(
        STEWARD,
        PINS,
        order.entity,
        order.canonical,
        operation,
        fields,
        cleared,
        _version(order),
        order.at,
        f"{order.by}#{order.order}",
        order.correlation,
    )


def _told(golden: Golden, order: Decide, names: tuple[str, ...]) -> dict[str, Value]:
    values = golden.values()
    now = {name: values.get(name) for name in names}
    if order.action == "pin":
        golden.pinned = {**now, **golden.pinned}
        return {**now, order.field: order.value}
    before = {name: golden.pinned.get(name, now[name]) for name in names}
    golden.pinned = {name: value for name, value in golden.pinned.items() if name not in names}
    return before if order.action == "undo" else now


def _is_news(golden: Golden, order: Decide) -> bool:
    known = golden.registers.get(STEWARD, {}).get(PINS, {}).get(order.field)
    return known is None or known.version < _version(order)


def _version(order: Decide) -> str:
    return f"{order.at}/{order.order}"


def rule_of(register: Register) -> str:
    """Why a pinned value counts, as people read it."""
    verb = "released" if register.derived else "pin"
    return f"{verb} by {register.change_id.rpartition('#')[0]}"
