"""Precedence: whose value counts, and why.

Promises: a pure choice over registers, so the order in which they arrived cannot matter; our own writes coming back
(derived registers) are no opinions; fields of a group come from one record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

import msgspec

from isthmus.codecs.change import Value
from isthmus.codecs.reviews import PINS, STEWARD
from isthmus.config.mapping import Choice


class Register(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What one record of one system says of one field. `derived`: it says so because we wrote it."""

    value: Value
    version: str
    when: str
    change_id: str
    derived: bool


# A field, and the register that counts for it, with its system and native id.
Chosen = tuple[str, str, str, Register]
Registers = Mapping[str, Mapping[str, Mapping[str, Register]]]
NOTHING: Mapping[str, Mapping[str, Register]] = {}


def same(one: Value, other: Value) -> bool:
    """Equal as both platforms see it: an empty text is nothing, 5 is 5.0, and money may come as text."""
    if one == other:
        return True
    if one is None or one == "" or other is None or other == "":
        return one in (None, "") and other in (None, "")
    return isinstance(one, str) != isinstance(other, str) and _number(one) == _number(other) is not None


def _number(value: Value) -> Decimal | None:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None


def choose(choice: Choice, registers: Registers) -> Sequence[Chosen]:
    """The opinion that counts for each field of a choice, a steward's pin first; nothing where nobody has an opinion."""
    chosen = _asked(choice, registers)
    pins = registers.get(STEWARD, NOTHING).get(PINS)
    return chosen if pins is None else _pinned(choice, chosen, pins)


def _pinned(choice: Choice, chosen: Sequence[Chosen], pins: Mapping[str, Register]) -> Sequence[Chosen]:
    """A pin holds its field alone; the others of a group still move together."""
    found = {one[0]: one for one in chosen}
    for name in choice.fields:
        pin = pins.get(name)
        if pin is not None and not pin.derived:
            found[name] = (name, STEWARD, PINS, pin)
    return list(found.values())


def _asked(choice: Choice, registers: Registers) -> Sequence[Chosen]:
    """What the systems say."""
    for wanted in choice.turns:
        best: Chosen | None = None
        for system in registers if wanted is None else (wanted,):
            for native_id, held in registers.get(system, NOTHING).items():
                if native_id == PINS:
                    continue
                for name in choice.fields:
                    register = held.get(name)
                    if register is not None and not register.derived:
                        opinion = (name, system, native_id, register)
                        best = opinion if best is None or rank(opinion) > rank(best) else best
        if best is not None:
            return _together(choice, best, registers) if choice.group else (best,)
    return ()


def _together(choice: Choice, best: Chosen, registers: Registers) -> Sequence[Chosen]:
    """All fields of a group, from the record that has the newest opinion of any."""
    _, system, native_id, chosen = best
    held = registers[system][native_id]
    empty = Register(None, chosen.version, chosen.when, chosen.change_id, False)
    return [(name, system, native_id, held.get(name, empty)) for name in choice.fields]


def rank(opinion: Chosen) -> tuple[str, str, str, str, str]:
    """How new an opinion is; of those made at the same time the same one sorts last everywhere."""
    _, system, native_id, register = opinion
    # Without the Z, since a fraction of a second sorts before it.
    return (register.when.removesuffix("Z"), system, register.version, native_id, register.change_id)
