"""Registering: what is done with registers, apart from the structs that hold them.

Promises: pure but for the registers it is given, which it changes in place. It stands apart because what defines structs is
not compiled, and these few functions are much of what a change costs.
"""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.codecs.change import Value
from isthmus.tables.registers import Held, Once, Register, Said

# Of a golden record: its registers by system, then native id.
Registers = dict[str, dict[str, Held]]


def find(held: Held, name: str) -> Said | None:
    """With what a field's register was said; None where the record has said nothing of it."""
    for said in held.said:
        if name in said.values:
            return said
    return None


def register_of(held: Held, name: str) -> Register | None:
    """A field's register; None where the record has said nothing of it."""
    said = find(held, name)
    return None if said is None else said.register(name)


def sayers(held: Held, names: dict[str, Value]) -> dict[str, Said]:
    """With what each of these fields was said, where anything was."""
    found: dict[str, Said] = {}
    for said in held.said:
        for name in said.values:
            if name in names:
                found[name] = said
    return found


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
