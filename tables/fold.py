"""The fold: what one change or report makes of a golden record, and what has to be told to the world for it.

Promises: a register keeps the newest version whatever the order of arrival; the visible value is a choice over registers
that are opinions, and our own writes coming back are none; a system is told what it lacks once, and again only when it
contradicts. No clock, no chance, no I/O: the same input gives the same output, ids included.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from isthmus.codecs.change import Value
from isthmus.codecs.events import CanonicalEvent, Changed, Source
from isthmus.codecs.linked import Linked, Merged, Report, Tell
from isthmus.config.mapping import Choice, EntityMapping
from isthmus.tables.golden import DesiredWrite, Golden, Liveness
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

Outcome = Literal["applied", "unchanged", "echo"]


@dataclass(slots=True)
class Folded:
    """What one item did: the new state, its outcome in the ledger (None for a report), and what to tell the world."""

    state: Golden
    outcome: Outcome | None
    event: CanonicalEvent | None = None
    writes: tuple[DesiredWrite, ...] = ()


@dataclass(slots=True)
class Heard:
    """What a change taught: fields whose register changed, with the one that was seen before; how many are opinions and
    echoes; did a record live or die?"""

    touched: dict[str, Register | None]
    opinions: int = 0
    echoes: int = 0
    moved: bool = False

    def outcome(self) -> Outcome:
        """Its outcome in the ledger."""
        if self.opinions:
            return "applied"
        return "echo" if self.echoes else "applied" if self.moved else "unchanged"


def fold(state: Golden | None, item: Merged, mapping: EntityMapping) -> Folded:
    """Take one change, report or order into a golden record; `state` is used up."""
    golden = state or Golden(item.canonical, item.entity)
    if isinstance(item, Tell):
        return _tell_again(golden, item, mapping)
    if isinstance(item, Report):
        return _fold_report(golden, item, mapping)
    before = _living(golden) if _may_move(golden, item) else None
    heard = _learn(golden, item)
    changed = _look(golden, mapping, item, heard.touched)
    linked = before is not None and _living(golden) != before
    writes = _wishes(golden, mapping, mapping.systems, item.correlation)
    if changed or linked or writes:
        golden.revision += 1
    event = _event(golden, item, changed, before) if changed or linked else None
    return Folded(golden, heard.outcome(), event, _told(golden, writes) if writes else ())


# -- what a change says


def _learn(golden: Golden, change: Linked) -> Heard:
    system, native_id, version, change_id = change.system, change.native_id, change.version, change.change_id
    heard = Heard({}, moved=_live(golden, system, native_id, change.operation != "delete", version))
    held = golden.registers.setdefault(system, {}).setdefault(native_id, {})
    intents, touched, row, when = golden.intents.get(system, {}), heard.touched, change.row, change.changed_at
    for name, value in change.values().items():
        known = held.get(name)
        if known is not None and version <= known.version and (version, change_id) <= (known.version, known.change_id):
            continue
        touched[name] = golden.seen(name)
        if row and known is not None and same(known.value, value):
            # A full read that finds a value as it was is newer, but nobody said it anew. What a report told us of and
            # nobody has heard yet is our echo.
            heard.echoes += not known.change_id
            held[name] = replace(known, version=version, change_id=known.change_id or change_id)
            continue
        # A null found by the first full read of a record is no opinion: nobody is known to have cleared it.
        blank = row and known is None and value is None
        ours = (name in intents and resolve(intents, name, value, tagged=change.tagged)) or blank
        held[name] = Register(value, version, when, change_id, ours)
        if not ours:
            heard.opinions += 1
        elif not blank:
            heard.echoes += 1
    return heard


def _may_move(golden: Golden, change: Linked) -> bool:
    """Can this change alter which records live?"""
    known = golden.living.get(change.system, {}).get(change.native_id)
    return known is None or not known.alive or change.operation == "delete"


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


def _look(
    golden: Golden, mapping: EntityMapping, change: Linked, touched: Mapping[str, Register | None]
) -> dict[str, Changed]:
    """Choose anew where a register changed; what is different now, by field."""
    changed: dict[str, Changed] = {}
    system, native_id, choices = change.system, change.native_id, mapping.choices
    led, held = _led(golden, mapping, system), golden.registers[system][native_id]
    done: set[str] = set()
    for one, before in touched.items():
        register, choice = held[one], choices.get(one)
        if choice is None or one in done:
            continue
        if one in led and not register.derived and (not choice.group or _holds(golden, choice, system, native_id)):
            golden.show(one, system, native_id, choice.rule, None)
            _differs(changed, one, before, register, choice, change, system, native_id)
        else:
            done.update(choice.fields)
            _choose(golden, choice, change, touched, changed)
    return changed


def _led(golden: Golden, mapping: EntityMapping, system: str) -> Collection[str]:
    """The fields for which nobody is asked before or beside a system's one record."""
    if len(golden.registers[system]) != 1:
        return ()
    return (mapping.heard if len(golden.registers) == 1 else mapping.led).get(system, ())


def _holds(golden: Golden, choice: Choice, system: str, native_id: str) -> bool:
    """Are all fields of a group taken from what this record itself says of them?"""
    for name in choice.fields:
        visible = golden.visible.get(name)
        if visible is None or visible.own is not None or (visible.native_id, visible.system) != (native_id, system):
            return False
    return True


def _choose(
    golden: Golden,
    choice: Choice,
    change: Linked,
    touched: Mapping[str, Register | None],
    changed: dict[str, Changed],
) -> None:
    chosen = choose(choice, golden.registers)
    for name, system, native_id, register in chosen:
        old = touched[name] if name in touched else golden.seen(name)
        own = None if name in golden.registers[system][native_id] else register
        golden.show(name, system, native_id, choice.rule, own)
        _differs(changed, name, old, register, choice, change, system, native_id)
    if not chosen:
        _keep(golden, choice, change, touched)


def _differs(
    changed: dict[str, Changed],
    name: str,
    old: Register | None,
    register: Register,
    choice: Choice,
    change: Linked,
    system: str,
    native_id: str,
) -> None:
    value, previous = register.value, None if old is None else old.value
    if previous == value or same(previous, value):
        return
    source = None
    if register.change_id != change.change_id:
        source = Source(system, native_id, register.when, register.change_id)
    changed[name] = Changed(value, previous, choice.rule, source)


def _keep(golden: Golden, choice: Choice, change: Linked, touched: Mapping[str, Register | None]) -> None:
    """Nobody has an opinion any more: what was seen stays."""
    for name in choice.fields:
        if name in touched:
            golden.keep_seen(name, change.system, change.native_id, touched[name])


# -- what the systems lack


def _wishes(golden: Golden, mapping: EntityMapping, systems: Iterable[str], correlation: str) -> list[DesiredWrite]:
    wishes = [wish for system in systems if (wish := _wish(golden, mapping, system, correlation)) is not None]
    return wishes if wishes and golden.is_alive() else []


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
        return _look_again(golden, report, mapping)
    before = _living(golden)
    if report.native_id not in golden.living.get(report.system, {}):
        _live(golden, report.system, report.native_id, True, report.version or "")
    elif report.version is not None and golden.living[report.system][report.native_id].alive:
        _live(golden, report.system, report.native_id, True, report.version)
    for name, value in report.fields.items():
        _confirm(golden, report, name, value)
    replace_before(intents, report.rev)
    return _again(golden, report, mapping, linked=_living(golden) != before)


def _look_again(golden: Golden, report: Report, mapping: EntityMapping) -> Folded:
    """After a refusal: where the version that stood in the way is known already, nothing else will make us ask again."""
    known = golden.living.get(report.system, {}).get(report.native_id)
    if report.version is None or known is None or known.version <= report.version:
        return Folded(golden, None)
    return _again(golden, report, mapping, linked=False)


def _again(golden: Golden, report: Report, mapping: EntityMapping, *, linked: bool) -> Folded:
    """Tell the system what it lacks still."""
    writes = _wishes(golden, mapping, (report.system,), f"{golden.canonical}/{report.rev}")
    if linked or writes:
        golden.revision += 1
    event = _linked_event(golden, report) if linked else None
    return Folded(golden, None, event, _told(golden, writes))


def _tell_again(golden: Golden, order: Tell, mapping: EntityMapping) -> Folded:
    """What was refused is not among the intents any more, so it is wished for again where it is lacking still."""
    writes = _wishes(golden, mapping, (order.system,), order.correlation)
    golden.revision += bool(writes)
    return Folded(golden, None, None, _told(golden, writes))


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
        golden.keep_seen(name, report.system, report.native_id, known)
        held[name] = Register(value, report.version, known.when if known else "", "", True)


# -- what to tell the world


def _event(
    golden: Golden, change: Linked, changed: Mapping[str, Changed], before: frozenset[tuple[str, str]] | None
) -> CanonicalEvent:
    cause = Source(change.system, change.native_id, change.changed_at, change.change_id)
    return _canonical(golden, _kind(golden, changed, before), change.changed_at, change.correlation, cause, changed)


def _kind(golden: Golden, changed: Mapping[str, Changed], before: frozenset[tuple[str, str]] | None) -> str:
    """`before`: the records that lived before, None where that cannot have changed."""
    if before is None:
        return "updated"
    living = _living(golden)
    if not living:
        return "deleted"
    if not before and golden.revision == 1:
        return "created"
    return "updated" if changed else "linked" if living - before else "unlinked"


def _linked_event(golden: Golden, report: Report) -> CanonicalEvent:
    cause = Source(report.system, report.native_id, "", "")
    return _canonical(golden, "linked", "", f"{golden.canonical}/{report.rev}", cause, {})


def _canonical(
    golden: Golden, kind: str, when: str, correlation: str, cause: Source, changed: Mapping[str, Changed]
) -> CanonicalEvent:
    return CanonicalEvent(
        id=f"{golden.canonical}/{golden.revision}",
        entity=golden.entity,
        kind=kind,
        canonical=golden.canonical,
        revision=golden.revision,
        time=when or None,
        correlation=correlation,
        cause=cause,
        changed=changed,
        links=golden.links,
    )
