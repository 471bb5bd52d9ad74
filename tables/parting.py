"""Parting: a record turns out never to have been the golden record that it was taken for.

Promises: it leaves with all it said, and what it holds by our own hand counts as its own word from then on; what is left
chooses anew, and where nobody tells a field any more, what was seen stays. No clock, no chance, no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from isthmus.codecs.frames import encode
from isthmus.codecs.linked import Absorb, Part
from isthmus.config.mapping import EntityMapping
from isthmus.tables.dangling import parted
from isthmus.tables.deletes import living
from isthmus.tables.folded import Folded, canonical_event
from isthmus.tables.golden import Golden
from isthmus.tables.joining import cause_of, choose_all, differences, seen_of
from isthmus.tables.quality import judged_anew
from isthmus.tables.registering import held_of
from isthmus.tables.registers import Held
from isthmus.tables.wishes import told, wishes


@dataclass(frozen=True, slots=True)
class Parted:
    """What is left, and what goes to the golden record that the record is from now on."""

    left: Folded
    absorb: Absorb


def part(golden: Golden, order: Part, mapping: EntityMapping) -> Parted | None:
    """Let a record go; None where it is not there."""
    system, native = order.system, order.native_id
    if native not in golden.living.get(system, {}):
        return None
    before, seen, lived = golden.values(), seen_of(golden), living(golden, mapping.followed)
    gone = _own(golden, order)
    golden.intents.pop(system, None)  # what was told it is not told whoever comes after it
    choose_all(golden, mapping, seen)
    changed, asides = judged_anew(golden, cause_of(order), mapping, differences(golden, before), lived)
    lacking = wishes(golden, mapping.followed, mapping.systems, order.correlation)
    golden.revision += 1
    event = canonical_event(golden, "unlinked", order.correlation, order.cause, changed)
    state = msgspec.Raw(encode(gone))
    absorb = Absorb(order.into, golden.canonical, golden.entity, order.correlation, order.cause, state, parted=True)
    return Parted(Folded(golden, None, event, told(golden, lacking), asides=asides), absorb)


def _own(golden: Golden, order: Part) -> Golden:
    """The record as a golden record of its own."""
    system, native = order.system, order.native_id
    said = golden.registers.get(system, {}).pop(native, Held())
    life = golden.living[system].pop(native)
    for held in (golden.registers, golden.living):
        if not held.get(system):
            held.pop(system, None)
    golden.endings.get(system, {}).pop(native, None)
    told = held_of({name: replace(register, derived=False) for name, register in said.items()})
    points = parted(golden, system, native)
    return Golden(order.into, golden.entity, 0, {system: {native: told}}, {system: {native: life}}, pointing=points)
