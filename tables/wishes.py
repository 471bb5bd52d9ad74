"""Wishes: what a system lacks of a golden record, so that deliver may bring it there.

Promises: a system is told what it lacks once, and again only when it contradicts; a record that was deleted in a system
stays so there. No clock, no chance, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from isthmus.codecs.change import Value
from isthmus.config.mapping import EntityMapping
from isthmus.tables.golden import DesiredWrite, Golden
from isthmus.tables.intents import Intents, asked, intend, on_its_way
from isthmus.tables.precedence import same


def wishes(golden: Golden, mapping: EntityMapping, systems: Iterable[str], correlation: str) -> list[DesiredWrite]:
    """What each of these systems lacks; nothing where no record lives any more."""
    found = [wish for system in systems if (wish := _wish(golden, mapping, system, correlation)) is not None]
    return found if found and golden.is_alive() else []


def _wish(golden: Golden, mapping: EntityMapping, system: str, correlation: str) -> DesiredWrite | None:
    native = golden.primary(system)
    if native is None and golden.living.get(system):
        return None  # it was deleted there, and stays so
    intents = golden.intents.setdefault(system, {})
    lacking = _lacking(golden, mapping, system, native, intents)
    if not lacking or all(asked(intents, name, value) for name, value in lacking.items()):
        return None
    for parts in mapping.systems[system].joint:
        if not lacking.keys().isdisjoint(parts):
            lacking |= {name: seen.value for name in parts if (seen := golden.seen(name)) is not None}
    version = golden.living[system][native].version if native is not None else None
    return DesiredWrite(system, golden.canonical, golden.entity, 0, native, lacking, version or None, correlation)


def _lacking(
    golden: Golden, mapping: EntityMapping, system: str, native: str | None, intents: Intents
) -> dict[str, Value]:
    """What a write has to carry: where the system differs, and what earlier writes, which it replaces, still carry."""
    known = golden.registers.get(system, {}).get(native or "", {})
    lacking: dict[str, Value] = {}
    names = mapping.systems[system].outward
    for name, visible in golden.visible.items():
        if visible.native_id == native and visible.system == system and visible.own is None and name not in intents:
            continue  # it is the source of the value
        register, seen = known.get(name), golden.seen(name)
        if seen is None or (register is not None and register.value == seen.value and name not in intents):
            continue
        if name in names and (on_its_way(intents, name) or not same(register.value if register else None, seen.value)):
            lacking[name] = seen.value
    return lacking


def told(golden: Golden, writes: Iterable[DesiredWrite]) -> tuple[DesiredWrite, ...]:
    """Note what is about to be written, under the revision that asks for it."""
    told = tuple(replace(write, revision=golden.revision) for write in writes)
    for write in told:
        for name, value in write.fields.items():
            intend(golden.intents[write.system], name, value, golden.revision)
    return told
