"""Showing: which of what records say are golden values, and by which rule.

Promises: a field is shown by one record at most; pure but for the registers it is given, which it changes in place. It
stands apart from the structs, which are not compiled.
"""

from __future__ import annotations

from isthmus.codecs.change import Value
from isthmus.tables.registering import Registers, find, held_by
from isthmus.tables.registers import Held, Visible

NOWHERE = -1


def shower(registers: Registers, name: str) -> Held | None:
    """The record that shows a field."""
    for natives in registers.values():
        for held in natives.values():
            if name in held.shown:
                return held
    return None


def speaking(registers: Registers) -> list[str]:
    """The systems of which a record that is here has said something: not one that has left."""
    return [system for system, natives in registers.items() if any(held.said for held in natives.values())]


def is_shown(registers: Registers, name: str) -> bool:
    """Has a field a golden value?"""
    return shower(registers, name) is not None


def why(registers: Registers, name: str) -> Visible | None:
    """Why a field's golden value is what it is; None where it has none."""
    for system, natives in registers.items():
        for native_id, held in natives.items():
            if name in held.shown:
                return ground(system, native_id, held, name)
    return None


def ground(system: str, native_id: str, held: Held, name: str) -> Visible:
    """Why a field that this record shows counts."""
    own = held.own
    return Visible(system, native_id, held.rules[held.shown[name]], own.get(name) if own else None)


def value_of(held: Held, name: str) -> Value:
    """The golden value of a field that this record shows."""
    own = held.own
    if own and name in own:
        return own[name].value
    said = find(held, name)
    return None if said is None else said.values[name]


def value_at(registers: Registers, name: str) -> Value:
    """A field's golden value; None where nobody has said anything of it."""
    held = shower(registers, name)
    return None if held is None else value_of(held, name)


def rule_by_itself(held: Held, name: str) -> str | None:
    """By which rule what a record says now of a field is its golden value; None where it is not."""
    at = held.shown.get(name, NOWHERE)
    return None if at == NOWHERE or (held.own and name in held.own) else held.rules[at]


def is_all(registers: Registers, system: str, native_id: str) -> bool:
    """Is every golden value what this record itself says now?"""
    for of, natives in registers.items():
        for native, held in natives.items():
            mine = native == native_id and of == system
            if held.own if mine else held.shown:
                return False
    return True


def show(registers: Registers, name: str, visible: Visible) -> None:
    """This is why a field's golden value is what it is."""
    held, before = held_by(registers, visible.system, visible.native_id), shower(registers, name)
    if before is not None and before is not held:
        _hide(before, name)
        _forget_silent(registers, before)
    _own(held, name, visible)
    rule, at = visible.rule, held.shown.get(name, NOWHERE)
    if at != NOWHERE and held.rules[at] == rule:
        return
    if rule not in held.rules:
        held.rules.append(rule)
    held.shown[name] = held.rules.index(rule)
    _forget(held, at)


def _own(held: Held, name: str, visible: Visible) -> None:
    if visible.own is None:
        _disown(held, name)
    elif held.own is None:
        held.own = {name: visible.own}
    else:
        held.own[name] = visible.own


def _disown(held: Held, name: str) -> None:
    own = held.own
    if own is not None and name in own:
        del own[name]
        held.own = own or None


def hide(registers: Registers, name: str) -> None:
    """A field has no golden value any more."""
    held = shower(registers, name)
    if held is not None:
        _hide(held, name)
        _forget_silent(registers, held)


def hide_all(registers: Registers) -> None:
    """No field has a golden value any more."""
    for held in [held for natives in registers.values() for held in natives.values() if held.shown]:
        held.rules, held.shown, held.own = [], {}, None
        _forget_silent(registers, held)


def _forget_silent(registers: Registers, held: Held) -> None:
    """A record that has left is kept for what is still shown of it alone."""
    if held.said or held.shown:
        return
    for system, natives in list(registers.items()):
        for native_id in [native_id for native_id, one in natives.items() if one is held]:
            del natives[native_id]
            if not natives:
                del registers[system]


def _hide(held: Held, name: str) -> None:
    _disown(held, name)
    _forget(held, held.shown.pop(name))


def _forget(held: Held, at: int) -> None:
    """A rule that no field counts by any more is forgotten."""
    if at == NOWHERE or at in held.shown.values():
        return
    del held.rules[at]
    for name, one in held.shown.items():
        if one > at:
            held.shown[name] = one - 1
