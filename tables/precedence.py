"""Precedence: whose value counts, and why.

Promises: a pure choice over registers, so the order in which they arrived cannot matter; our own writes coming back
(derived registers) are no opinions; fields of a group come from one record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

from isthmus.codecs.change import Value
from isthmus.codecs.reviews import PINS, STEWARD
from isthmus.config.choices import Choice
from isthmus.tables.registering import register_of
from isthmus.tables.registers import Held, Register, Said

# A field, and the register that counts for it, with its system and native id.
Chosen = tuple[str, str, str, Register]
Registers = Mapping[str, Mapping[str, Held]]
NOTHING: Mapping[str, Held] = {}
# What a record said with one change, with its system and native id.
Opinion = tuple[str, str, Said | Register]


def same(one: Value, other: Value) -> bool:
    """Equal as both platforms see it: an empty text is nothing, 5 is 5.0, and money may come as text."""
    if one == other:
        return True
    if one is None or one == "" or other is None or other == "":
        return one in (None, "") and other in (None, "")
    return isinstance(one, str) != isinstance(other, str) and _number(one) == _number(other) is not None


def differ(one: Value, other: Value) -> bool:
    """The same asked the other way round, for where most values differ."""
    if one == other:
        return False
    if one and other and type(one) is type(other):
        return True
    return not same(one, other)


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


def _pinned(choice: Choice, chosen: Sequence[Chosen], pins: Held) -> Sequence[Chosen]:
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
        best: Opinion | None = None
        for system in registers if wanted is None else (wanted,):
            for native_id, held in registers.get(system, NOTHING).items():
                if native_id != PINS:
                    best = _newest(choice, system, native_id, held, best)
        if best is not None:
            return _together(choice, best, registers[best[0]][best[1]])
    return ()


def asked_alone(choice: Choice, system: str, native_id: str, held: Held) -> Sequence[Chosen]:
    """The same where nobody is asked before or beside this record."""
    best = _newest(choice, system, native_id, held, None)
    return () if best is None else _together(choice, best, held)


def _newest(choice: Choice, system: str, native_id: str, held: Held, best: Opinion | None) -> Opinion | None:
    """The newest of what a record says of a choice and the best opinion so far."""
    for said in held.said:
        if not said.derived and _speaks(said, choice.fields):
            opinion = (system, native_id, said)
            best = opinion if best is None or rank(opinion) > rank(best) else best
    return best


def _speaks(said: Said, fields: tuple[str, ...]) -> bool:
    """Was something said of any of these fields?"""
    values = said.values
    return any(name in values for name in fields)


def _together(choice: Choice, best: Opinion, held: Held) -> Sequence[Chosen]:
    """All fields of a choice, from the record that has the newest opinion of any."""
    system, native_id, said = best
    empty = Register(None, said.version, said.when, said.change_id, False)
    return [(name, system, native_id, register_of(held, name) or empty) for name in choice.fields]


def rank(opinion: Opinion) -> tuple[str, str, str, str, str]:
    """How new an opinion is; of those made at the same time the same one sorts last everywhere."""
    system, native_id, said = opinion
    # Without the Z, since a fraction of a second sorts before it.
    return (said.when.removesuffix("Z"), system, said.version, native_id, said.change_id)
