"""The fold: what one change or report makes of a golden record, and what has to be told to the world for it.

Promises: a register keeps the newest version whatever the order of arrival; the visible value is a choice over registers
that are opinions, and our own writes coming back are none; a system is told what it lacks once, and again only when it
contradicts. No clock, no chance, no I/O: the same input gives the same output, ids included.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from isthmus.codecs.change import Value
from isthmus.codecs.events import CanonicalEvent, Changed
from isthmus.codecs.linked import Linked, Report
from isthmus.config.mapping import EntityMapping
from isthmus.tables.golden import DesiredWrite, Golden, Liveness, Visible
from isthmus.tables.intents import (
    Intents,
    asked,
    confirm,
    forget,
    intend,
    on_its_way,
    refuse,
    replace_before,
    resolve,
)
from isthmus.tables.precedence import Register, choose, same

EVENT_IDS = uuid.UUID("0f6f2a35-9b0e-5b7e-8f2e-1a57b0d0e4e7")
Outcome = Literal["applied", "unchanged", "echo"]


@dataclass(frozen=True, slots=True)
class Folded:
    """What one item did: the new state, its outcome in the ledger (None for a report), and what to tell the world."""

    state: Golden
    outcome: Outcome | None
    event: CanonicalEvent | None = None
    writes: tuple[DesiredWrite, ...] = ()


def fold(state: Golden | None, item: Linked | Report, mapping: EntityMapping) -> Folded:
    """Take one change or report into a golden record; `state` is used up."""
    golden = state or Golden(item.canonical, item.entity)
    if isinstance(item, Report):
        return _fold_report(golden, item, mapping)
    before = _living(golden)
    outcome = _learn(golden, item)
    changed = _look(golden, mapping)
    linked = _living(golden) != before
    writes = tuple(_wishes(golden, mapping, mapping.systems, item.correlation))
    if changed or linked or writes:
        golden.revision += 1
    event = _event(golden, item, changed, before) if changed or linked else None
    return Folded(golden, outcome, event, _told(golden, writes))


# -- what a change says


def _learn(golden: Golden, change: Linked) -> Outcome:
    moved = _live(golden, change.system, change.native_id, change.operation != "delete", change.version)
    held = golden.registers.setdefault(change.system, {}).setdefault(change.native_id, {})
    intents = golden.intents.setdefault(change.system, {})
    opinions = echoes = 0
    for name, value in change.values().items():
        known = held.get(name)
        if known is not None and (change.version, change.change_id) <= (known.version, known.change_id):
            continue
        if change.row and known is not None and same(known.value, value):
            # A full read that finds a value as it was is newer, but nobody said it anew. What a report told us of and
            # nobody has heard yet is our echo.
            echoes += not known.change_id
            held[name] = replace(known, version=change.version, change_id=known.change_id or change.change_id)
            continue
        # A null found by the first full read of a record is no opinion: nobody is known to have cleared it.
        blank = change.row and known is None and value is None
        ours = resolve(intents, name, value, tagged=change.tagged) or blank
        held[name] = Register(value, change.version, change.changed_at, change.change_id, ours)
        opinions, echoes = opinions + (not ours), echoes + (ours and not blank)
    if opinions:
        return "applied"
    return "echo" if echoes else "applied" if moved else "unchanged"


def _live(golden: Golden, system: str, native_id: str, alive: bool, version: str) -> bool:
    """Join a record's liveness; was it a change of life?"""
    natives = golden.living.setdefault(system, {})
    known = natives.get(native_id)
    if known is not None and version <= known.version:
        return False
    natives[native_id] = Liveness(alive, version)
    return (known is not None and known.alive != alive) or (known is None and not alive)


def _living(golden: Golden) -> frozenset[tuple[str, str]]:
    return frozenset((s, n) for s, natives in golden.living.items() for n, known in natives.items() if known.alive)


# -- what counts


def _look(golden: Golden, mapping: EntityMapping) -> dict[str, Changed]:
    """Choose every visible value anew; what changed, by field."""
    chosen = choose(mapping, _opinions(golden))
    changed: dict[str, Changed] = {}
    for name, opinion in chosen.items():
        old = golden.visible.get(name)
        now = Visible(
            opinion.register.value,
            opinion.system,
            opinion.native_id,
            opinion.register.change_id,
            opinion.register.when,
            opinion.rule,
        )
        golden.visible[name] = now
        if not same(old.value if old else None, now.value):
            changed[name] = Changed(
                now.value, old.value if old else None, now.system, now.native_id, now.rule, now.when, now.change_id
            )
    return changed


def _opinions(golden: Golden) -> Iterable[tuple[str, str, Mapping[str, Register]]]:
    for system, natives in golden.registers.items():
        for native_id, held in natives.items():
            yield system, native_id, held


# -- what the systems lack


def _wishes(golden: Golden, mapping: EntityMapping, systems: Iterable[str], correlation: str) -> Iterable[DesiredWrite]:
    if not _living(golden):
        return
    for system in systems:
        native = golden.primary(system)
        if native is None and golden.living.get(system):
            continue  # it was deleted there, and stays so
        intents = golden.intents.setdefault(system, {})
        lacking = dict(_lacking(golden, mapping, system, native, intents))
        if any(not asked(intents, name, value) for name, value in lacking.items()):
            version = golden.living[system][native].version if native is not None else None
            yield DesiredWrite(
                system, golden.canonical, golden.entity, 0, native, lacking, version or None, correlation
            )


def _lacking(
    golden: Golden, mapping: EntityMapping, system: str, native: str | None, intents: Intents
) -> Iterable[tuple[str, Value]]:
    """What a write has to carry: where the system differs, and what earlier writes, which it replaces, still carry."""
    known = golden.registers.get(system, {}).get(native or "", {})
    for name in mapping.systems[system].fields:
        seen = golden.visible.get(name)
        register = known.get(name)
        if seen is not None and (
            on_its_way(intents, name) or not same(register.value if register else None, seen.value)
        ):
            yield name, seen.value


def _told(golden: Golden, writes: Iterable[DesiredWrite]) -> tuple[DesiredWrite, ...]:
    """Note what is about to be written, under the revision that asks for it."""
    told = tuple(replace(write, revision=golden.revision) for write in writes)
    for write in told:
        for name, value in write.fields.items():
            intend(golden.intents[write.system], name, value, golden.revision)
    return told


# -- what became of a write


def _fold_report(golden: Golden, report: Report, mapping: EntityMapping) -> Folded:
    intents = golden.intents.setdefault(report.system, {})
    if report.outcome == "refused":
        refuse(intents, report.rev)
        return Folded(golden, None)
    before = _living(golden)
    if report.native_id not in golden.living.get(report.system, {}):
        _live(golden, report.system, report.native_id, True, report.version or "")
    elif report.version is not None and golden.living[report.system][report.native_id].alive:
        _live(golden, report.system, report.native_id, True, report.version)
    for name, value in report.fields.items():
        _confirm(golden, report, name, value)
    replace_before(intents, report.rev)
    linked = _living(golden) != before
    writes = tuple(_wishes(golden, mapping, (report.system,), f"{golden.canonical}/{report.rev}"))
    if linked or writes:
        golden.revision += 1
    event = _linked_event(golden, report) if linked else None
    return Folded(golden, None, event, _told(golden, writes))


def _confirm(golden: Golden, report: Report, name: str, value: Value) -> None:
    """The system had this value at that version; where a newer one of its own is known, ours was overwritten."""
    held = golden.registers.setdefault(report.system, {}).setdefault(report.native_id, {})
    known = held.get(name)
    overwritten = known is not None and report.version is not None and known.version > report.version
    intents = golden.intents[report.system]
    confirm(intents, name, value, report.rev, current=report.version is not None)
    if known is not None and overwritten and not same(known.value, value):
        forget(intents, name, value)
    if report.version is not None and not overwritten:
        held[name] = Register(value, report.version, known.when if known else "", "", True)


# -- what to tell the world


def _event(
    golden: Golden, change: Linked, changed: dict[str, Changed], before: frozenset[tuple[str, str]]
) -> CanonicalEvent:
    living = _living(golden)
    if not living:
        kind = "deleted"
    elif not before and golden.revision == 1:
        kind = "created"
    elif changed:
        kind = "updated"
    else:
        kind = "linked" if living - before else "unlinked"
    return _canonical(golden, kind, change.changed_at, change.correlation, changed)


def _linked_event(golden: Golden, report: Report) -> CanonicalEvent:
    return _canonical(golden, "linked", "", f"{golden.canonical}/{report.rev}", {})


def _canonical(golden: Golden, kind: str, when: str, correlation: str, changed: dict[str, Changed]) -> CanonicalEvent:
    return CanonicalEvent(
        id=str(uuid.uuid5(EVENT_IDS, f"{golden.canonical}/{golden.revision}")),
        entity=golden.entity,
        kind=kind,
        canonical=golden.canonical,
        revision=golden.revision,
        time=when or None,
        correlation=correlation,
        changed=changed,
        links=golden.links,
    )
