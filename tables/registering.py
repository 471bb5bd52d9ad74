"""Registering: what is done with registers and with the grounds of golden values, apart from the structs that hold them.

Promises: pure but for the registers and grounds it is given, which it changes in place. It stands apart because what
defines structs is not compiled, and these few functions are most of what a change costs.
"""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.codecs.change import Value
from isthmus.tables.registers import Held, Once, Register, Said, Visible

# Of a golden record: its registers by system, then native id; which of its grounds is why a field counts.
Registers = dict[str, dict[str, Held]]
Grounds = list[Visible]
Places = dict[str, int]


# -- registers


def find(held: Held, name: str) -> Said | None:
    """With what a field's register was said; None where the record has said nothing of it."""
    for said in held.said:
        if name in said.values:
            return said
    return None


def held_by(registers: Registers, system: str, native_id: str) -> Held:
    """The registers of a record, to be changed in place."""
    natives = registers.get(system)
    if natives is None:
        natives = registers[system] = {}
    held = natives.get(native_id)
    if held is None:
        held = natives[native_id] = Held()
    return held


def take_out(held: Held, names: dict[str, Value]) -> dict[str, Once]:
    """Take these fields away; what was said of them."""
    taken: dict[str, Once] = {}
    known = held.said
    emptied = False
    for said in known:
        values = said.values
        for name in [name for name in values if name in names]:
            taken[name] = said, values.pop(name)
        emptied = emptied or not values
    if emptied:
        held.said = [said for said in known if said.values]
    return taken


def put(held: Held, new: Said) -> None:
    """Set all registers that were said together, whatever they were before."""
    take_out(held, new.values)
    at, order, known = 0, new.order, held.said
    while at < len(known) and known[at].order > order:
        at += 1
    if at < len(known) and known[at].order == order:
        known[at].values.update(new.values)
    else:
        known.insert(at, new)


def set_one(held: Held, name: str, register: Register) -> None:
    """Set one field's register, whatever it was before."""
    put(held, Said(register.version, register.when, register.change_id, register.derived, {name: register.value}))


def held_of(registers: Mapping[str, Register]) -> Held:
    """These registers, by field."""
    held = Held()
    for name, register in registers.items():
        set_one(held, name, register)
    return held


# -- grounds


def value_of(registers: Registers, why: Visible, name: str) -> Value:
    """A field's golden value, by its ground."""
    own = why.own
    if own is not None:
        return own.value
    said = find(registers[why.system][why.native_id], name)
    return None if said is None else said.values[name]


def value_at(registers: Registers, grounds: Grounds, places: Places, name: str) -> Value:
    """A field's golden value; None where nobody has said anything of it."""
    at = places.get(name)
    return None if at is None else value_of(registers, grounds[at], name)


def here(grounds: Grounds, system: str, native_id: str) -> dict[int, str]:
    """Of the grounds, those that name what this record itself says, each with its rule."""
    found: dict[int, str] = {}
    for at, why in enumerate(grounds):
        if why.native_id == native_id and why.system == system and why.own is None:
            found[at] = why.rule
    return found


def rules_of(grounds: Grounds, system: str, native_id: str) -> list[str] | None:
    """Their rules, where all of them name what this record itself says."""
    rules: list[str] = []
    for why in grounds:
        if why.native_id != native_id or why.system != system or why.own is not None:
            return None
        rules.append(why.rule)
    return rules


def is_all(grounds: Grounds, system: str, native_id: str) -> bool:
    """Is every golden value what this record itself says?"""
    return all(why.native_id == native_id and why.system == system and why.own is None for why in grounds)


def show(places: Places, grounds: Grounds, name: str, why: Visible) -> None:
    """This is why a field's golden value is what it is."""
    before = places.get(name)
    if before is not None and grounds[before] == why:
        return
    if why not in grounds:
        grounds.append(why)
    places[name] = grounds.index(why)
    drop(places, grounds, before)


def drop(places: Places, grounds: Grounds, at: int | None) -> None:
    """Forget a ground that no field has any more."""
    if at is None or at in places.values():
        return
    del grounds[at]
    for name, one in places.items():
        if one > at:
            places[name] = one - 1
