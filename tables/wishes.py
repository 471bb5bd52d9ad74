"""Wishes: what a system lacks of a golden record, so that deliver may bring it there.

Promises: a system is told what it lacks once, and again only when it contradicts; what becomes of records that were
deleted is for tables/deletes.py to say. No clock, no chance, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from isthmus.codecs.change import Value
from isthmus.config.followed import Followed
from isthmus.tables.alive import primary
from isthmus.tables.deletes import Turn, note, over, turn
from isthmus.tables.golden import DesiredWrite, Golden
from isthmus.tables.intents import Intents, asked, intend, on_its_way
from isthmus.tables.precedence import same
from isthmus.tables.registering import find
from isthmus.tables.registers import Held
from isthmus.tables.showing import is_all, is_shown, value_of

NOBODY: Mapping[str, Held] = {}
NOTHING: Intents = {}


def wishes(
    golden: Golden, mapping: Followed, systems: Iterable[str], correlation: str, *, released: bool = False
) -> list[DesiredWrite]:
    """What each of these systems lacks, or is to do with its record once that was deleted elsewhere; nothing where no
    record lives any more, or it breaks a rule. `released`: a person said that it may be done."""
    if (rejection := golden.rejection) is not None and rejection.broken:
        return []
    ended = over(golden, mapping)
    found: list[DesiredWrite] = []
    for system in systems:
        if not ended and _says_it_all(golden, system):
            continue
        # What a system was told by another name may still be under way (tables/handover.py).
        one = None if system in golden.awaits else turn(golden, mapping, system, ended=ended)
        wish = None if one is None else _wish(golden, mapping, system, one, correlation)
        if wish is not None:
            found.append(wish)
    if not found or not golden.is_alive():
        return []
    return [replace(wish, released=True) for wish in found] if released else found


def _says_it_all(golden: Golden, system: str) -> bool:
    """Was a system told nothing, since every value is what its record itself says?"""
    if golden.intents.get(system) or system in golden.endings:
        return False
    native = primary(golden.living, system)
    return native is not None and is_all(golden.registers, system, native)


def _wish(golden: Golden, mapping: Followed, system: str, to: Turn, correlation: str) -> DesiredWrite | None:
    native, there = to.native, mapping.systems[system]
    intents: Intents = NOTHING if native is None and to.must else golden.intents.get(system, NOTHING)
    lacking = {} if to.ends else _lacking(golden, mapping, system, native, intents)
    if not there.listened:
        # What people make of it there is never heard, and stays: each value is told once.
        lacking = {n: v for n, v in lacking.items() if on_its_way(intents, n) or not asked(intents, n, v)}
    if not to.must and (not lacking or all(asked(intents, name, value) for name, value in lacking.items())):
        return None
    for parts in there.joint:
        if not lacking.keys().isdisjoint(parts):
            lacking |= {name: golden.value(name) for name in parts if is_shown(golden.registers, name)}
    version = golden.living[system][native].newest if native is not None else None
    return DesiredWrite(
        system, golden.canonical, golden.entity, 0, native, lacking, version or None, correlation, to.action
    )


def signed(golden: Golden, mapping: Followed, system: str, correlation: str) -> list[DesiredWrite]:
    """Have a system's record bear our id, and all that is on its way there; no values of one that breaks a rule. Nothing
    where it has no record, or is not to be told now."""
    native = golden.primary(system)
    if native is None or system in golden.awaits or system not in mapping.systems or over(golden, mapping):
        return []
    if not golden.living[system][native].alive:
        return []
    intents = golden.intents.get(system, NOTHING)
    lacking = {} if golden.rejected else _lacking(golden, mapping, system, native, intents)
    return [DesiredWrite(system, golden.canonical, golden.entity, 0, native, lacking, None, correlation)]


def _lacking(golden: Golden, mapping: Followed, system: str, native: str | None, intents: Intents) -> dict[str, Value]:
    """What a write has to carry: where the system differs, and what earlier writes, which it replaces, still carry."""
    known = golden.registers.get(system, NOBODY).get(native or "")
    lacking: dict[str, Value] = {}
    names = mapping.systems[system].outward
    for natives in golden.registers.values():
        for held in natives.values():
            for name in held.shown:
                if name in names:
                    _lacks(lacking, name, known, held, intents)
    return lacking


def _lacks(lacking: dict[str, Value], name: str, known: Held | None, source: Held, intents: Intents) -> None:
    """Does a record (`known`) lack a field's golden value, which `source` shows?"""
    if source is known and name not in intents and not (source.own and name in source.own):
        return  # it is the source of the value
    said = None if known is None else find(known, name)
    value = value_of(source, name)
    if said is not None and said.values[name] == value and name not in intents:
        return
    if on_its_way(intents, name) or not same(said.values[name] if said else None, value):
        lacking[name] = value


def told(golden: Golden, writes: Iterable[DesiredWrite]) -> tuple[DesiredWrite, ...]:
    """Note what is about to be written, under the revision that asks for it."""
    told = tuple(replace(write, revision=golden.revision) for write in writes)
    for write in told:
        note(golden, write)
        if write.fields:
            intents = golden.intents.setdefault(write.system, {})
            for name, value in write.fields.items():
                intend(intents, name, value, write.revision)
    return told
