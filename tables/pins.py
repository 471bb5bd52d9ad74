"""Pins: what a steward decides about a field, as a change of a system of its own, whose word comes first.

Promises: a pin joins by its time as every change does, so the order of arrival does not matter; taken back, it leaves what
the systems say, or what was last said before and beneath it where our own writes have replaced that. It holds its field
alone: the others of a group still move together. No clock, no chance, no I/O.
"""

from __future__ import annotations

from isthmus.codecs.change import Operation, Value
from isthmus.codecs.linked import Decide, Linked
from isthmus.codecs.reviews import PINS, STEWARD
from isthmus.tables.golden import Golden
from isthmus.tables.registers import Register


def as_change(golden: Golden, order: Decide) -> Linked:
    """The change that a decision is. What the field was before a pin is kept on the golden record."""
    told: dict[str, Value] = {}
    if _is_news(golden, order):
        told[order.field] = _value(golden, order)
        _reason(golden, order)
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
        _change_id(order),
        order.correlation,
    )


def _value(golden: Golden, order: Decide) -> Value:
    """What the pin says from now on; taken back, what it leaves where no system has an opinion."""
    now = golden.value(order.field)
    if order.action == "pin":
        golden.pinned.setdefault(order.field, now)
        return order.value
    before = golden.pinned.pop(order.field, now)
    return before if order.action == "undo" else now


def replaced(golden: Golden, name: str, known: Register | None) -> None:
    """Our write takes the place of an opinion beneath a pin: what was said after the pin is what an undo gives back."""
    pin = _known(golden, name)
    if pin is None or known is None or known.derived or name not in golden.pinned:
        return
    if known.when.removesuffix("Z") > pin.when.removesuffix("Z"):
        golden.pinned[name] = known.value


def _is_news(golden: Golden, order: Decide) -> bool:
    known = _known(golden, order.field)
    return known is None or known.version < _version(order)


def _known(golden: Golden, name: str) -> Register | None:
    """What was decided last about a field."""
    return golden.says(STEWARD, PINS, name)


def _reason(golden: Golden, order: Decide) -> None:
    """Keep why it was decided, in place of why that was decided before."""
    if known := _known(golden, order.field):
        golden.reasons.pop(known.change_id, None)
    if order.why:
        golden.reasons[_change_id(order)] = order.why


def _change_id(order: Decide) -> str:
    return f"{order.by}#{order.order}"


def _version(order: Decide) -> str:
    return f"{order.at}/{order.order}"


def rule_of(register: Register) -> str:
    """Why a pinned value counts, as people read it."""
    verb = "released" if register.derived else "pin"
    return f"{verb} by {register.change_id.rpartition('#')[0]}"
