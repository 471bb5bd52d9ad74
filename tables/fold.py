"""The fold: what one change or report makes of a golden record, and what has to be told to the world for it.

Promises: a register keeps the newest version whatever the order of arrival; the visible value is a choice over registers
that are opinions, and our own writes coming back are none; a system is told what it lacks once, and again only when it
contradicts. No clock, no chance, no I/O: the same input gives the same output, ids included.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from isthmus.codecs.events import Changed, Source
from isthmus.codecs.linked import Absorb, Folding, Linked, Loaded, Report, Resolved, Settled, Tell
from isthmus.codecs.reviews import PINS, STEWARD
from isthmus.config.mapping import Choice, EntityMapping
from isthmus.tables import echoes
from isthmus.tables.conflicts import conflicts, settled
from isthmus.tables.dangling import answer, point
from isthmus.tables.deletes import Records, by_us, hear, living
from isthmus.tables.folded import Folded, Outcome, changed_event
from isthmus.tables.golden import Golden
from isthmus.tables.joining import absorb, differences, settle
from isthmus.tables.pins import as_change, replaced, rule_of
from isthmus.tables.precedence import Register, choose, same
from isthmus.tables.quality import judge
from isthmus.tables.references import rename
from isthmus.tables.reports import fold_report, tell_again
from isthmus.tables.wishes import told, wishes


@dataclass(slots=True)
class Heard:
    """What a change taught: fields whose register changed, with the one that was seen before; how many are opinions and
    echoes, and by which layers that was known; did a record live or die?"""

    touched: dict[str, Register | None]
    opinions: int = 0
    echoes: int = 0
    moved: bool = False
    layers: dict[str, int] = field(default_factory=dict)

    def outcome(self) -> Outcome:
        """Its outcome in the ledger."""
        if self.opinions:
            return "applied"
        return "echo" if self.echoes else "applied" if self.moved else "unchanged"


def fold(state: Golden | None, item: Folding, mapping: EntityMapping) -> Folded:
    """Take one change, report or order into a golden record; `state` is used up."""
    golden = state or Golden(item.canonical, item.entity)
    if isinstance(item, Linked):
        return _fold_change(golden, item, mapping)
    if isinstance(item, Tell):
        return tell_again(golden, item, mapping)
    if isinstance(item, Report):
        return fold_report(golden, item, mapping)
    if isinstance(item, Absorb):
        return absorb(golden, item, mapping)
    if isinstance(item, Settled):
        return settle(golden, item, mapping)
    if isinstance(item, Loaded):
        return _load(golden, item, mapping)
    if isinstance(item, Resolved):
        return _resolved(golden, item, mapping)
    decided = _fold_change(golden, as_change(golden, item), mapping)
    return dataclasses.replace(decided, reviews=(settled(item),))


def _fold_change(golden: Golden, item: Linked, mapping: EntityMapping) -> Folded:
    before = living(golden, mapping) if _may_move(golden, item) else None
    known = golden.registers.get(item.system, {}).get(item.native_id) if len(golden.registers) > 1 else None
    knew = dict(known) if known else {}
    heard = _learn(golden, item)
    if mapping.existing:
        point(golden, item, mapping)
    changed = _look(golden, mapping, item, heard.touched)
    alive = None if before is None else living(golden, mapping)
    heard.moved |= alive != before
    folded = _told(golden, item, mapping, changed, before, alive, heard.outcome(), (item.system,))
    folded.reviews = conflicts(golden, item, heard.touched, knew, mapping)
    return echoes.noted(folded, item, heard.layers, nothing_new=not heard.opinions)


def _told(
    golden: Golden,
    cause: Linked,
    mapping: EntityMapping,
    changed: dict[str, Changed],
    before: Records | None,
    alive: Records | None,
    outcome: Outcome | None,
    systems: tuple[str, ...],
) -> Folded:
    """What the world is told of it; nothing while the record breaks a rule. `systems`: whose changes they are, one each."""
    judged = judge(golden, cause, mapping, changed, before) if mapping.quality else None
    if judged is not None:
        if judged.rejected:
            return judged.parked(golden, outcome, systems)
        changed, before, alive = judged.changed, judged.before, living(golden, mapping)
    lacking = wishes(golden, mapping, mapping.systems, cause.correlation)
    news = bool(changed) or alive != before
    if news or lacking:
        golden.revision += 1
    event = changed_event(golden, cause, changed, before, alive) if news else None
    asides = None if judged is None else judged.asides
    return Folded(golden, outcome, event, told(golden, lacking) if lacking else (), asides=asides)


def _load(golden: Golden, item: Loaded, mapping: EntityMapping) -> Folded:
    """Take in all records of a golden record that were matched, before any system is told what it lacks."""
    before, values = living(golden, mapping), golden.values()
    opinions, cause = 0, item.rows[0]
    for row in item.rows:
        heard = _learn(golden, row)
        point(golden, row, mapping)
        _look(golden, mapping, row, heard.touched)
        opinions += heard.opinions
    changed, alive = differences(golden, values), living(golden, mapping)
    outcome: Outcome = "applied" if opinions or changed or alive != before else "unchanged"
    return _told(golden, cause, mapping, changed, before, alive, outcome, tuple(row.system for row in item.rows))


def _resolved(golden: Golden, item: Resolved, mapping: EntityMapping) -> Folded:
    """What a field of a change points at. The change itself was counted, and said whether its record lives."""
    if item.field not in mapping.references or item.native_id not in golden.living.get(item.system, {}):
        return Folded(golden, None)  # the mapping was changed, or the record has left
    change = item.linked()
    answer(golden, item)
    if not item.value:
        return _told(golden, change, mapping, {}, None, None, None, ())
    if item.was is not None:
        rename(golden, item)
    changed = _look(golden, mapping, change, _say(golden, change, Heard({})).touched)
    return _told(golden, change, mapping, changed, None, None, None, ())


# -- what a change says


def _learn(golden: Golden, change: Linked) -> Heard:
    heard = Heard({}, moved=change.native_id != PINS and hear(golden, change))
    heard.echoes += by_us(golden, change)
    return _say(golden, change, heard)


def _say(golden: Golden, change: Linked, heard: Heard) -> Heard:
    """Take what it says of the record's fields."""
    system, native_id, version, change_id = change.system, change.native_id, change.version, change.change_id
    released = native_id == PINS and change.operation == "delete"
    held = golden.registers.setdefault(system, {}).setdefault(native_id, {})
    intents, touched, when = golden.intents.get(system, {}), heard.touched, change.changed_at
    row = change.row or change.operation == "undelete"  # which says again what the record held
    for name, value in change.values().items():
        known = held.get(name)
        if known is not None and version <= known.version and (version, change_id) <= (known.version, known.change_id):
            continue
        touched[name] = golden.seen(name)
        if row and known is not None and same(known.value, value):
            # A full read that finds a value as it was is newer, but nobody said it anew. What a report told us of and
            # nobody has heard yet is our echo.
            if not known.change_id:
                heard.echoes += 1
                echoes.count(heard.layers, echoes.BY_REPORT)
            held[name] = replace(known, version=version, change_id=known.change_id or change_id)
            continue
        # A null found by the first full read of a record is no opinion: nobody is known to have cleared it.
        blank = row and known is None and value is None
        ours = (name in intents and echoes.ours(golden, change, name, value, heard.layers)) or blank
        if ours and golden.pinned:
            replaced(golden, name, known)
        held[name] = Register(value, version, when, change_id, ours or released)
        if not ours:
            heard.opinions += 1
        elif not blank:
            heard.echoes += 1
    return heard


def _may_move(golden: Golden, change: Linked) -> bool:
    """Can this change alter which records live?"""
    if change.native_id == PINS:
        return False
    known = golden.living.get(change.system, {}).get(change.native_id)
    return known is None or not known.alive or change.operation in ("delete", "undelete") or bool(golden.endings)


# -- what counts


def _look(
    golden: Golden, mapping: EntityMapping, change: Linked, touched: Mapping[str, Register | None]
) -> dict[str, Changed]:
    """Choose anew where a register changed; what is different now, by field."""
    changed: dict[str, Changed] = {}
    system, native_id, choices = change.system, change.native_id, mapping.choices
    led, held = _led(golden, mapping, system), golden.registers[system][native_id]
    # Where a system is not asked and nobody else has said anything, there is nothing to choose from.
    asked, visible = mapping.heard.get(system, choices), golden.visible
    done: set[str] = set()
    whole: set[str] = set()  # fields of groups that hold
    for one, before in touched.items():
        register, choice = held[one], choices.get(one)
        if choice is None or one in done or (one not in asked and one not in visible):
            continue
        if choice.group and one in led and one not in whole and _holds(golden, choice, system, native_id):
            whole.update(choice.fields)
        if one in led and not register.derived and (one in whole or not choice.group):
            golden.show(one, system, native_id, choice.rule, None)
            _differs(changed, one, before, register, choice.rule, change, system, native_id)
        else:
            done.update(choice.fields)
            _choose(golden, choice, change, touched, changed)
    return changed


def _led(golden: Golden, mapping: EntityMapping, system: str) -> Collection[str]:
    """The fields for which nobody is asked before or beside a system's one record."""
    if len(golden.registers[system]) != 1 or STEWARD in golden.registers:
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
        rule = rule_of(register) if native_id == PINS else choice.rule
        golden.show(name, system, native_id, rule, own)
        _differs(changed, name, old, register, rule, change, system, native_id)
    if not chosen and change.native_id == PINS:
        _fall_back(golden, choice, change, touched, changed)
    elif not chosen:
        _keep(golden, choice, change, touched)


def _fall_back(
    golden: Golden,
    choice: Choice,
    change: Linked,
    touched: Mapping[str, Register | None],
    changed: dict[str, Changed],
) -> None:
    """A pin is taken back where nobody has an opinion: what it leaves behind stays."""
    held = golden.registers[change.system][change.native_id]
    for name in (name for name in choice.fields if name in touched):
        rule = rule_of(held[name])
        golden.show(name, change.system, change.native_id, rule, None)
        _differs(changed, name, touched[name], held[name], rule, change, change.system, change.native_id)


def choose_anew(golden: Golden, mapping: EntityMapping, cause: Linked) -> dict[str, Changed]:
    """Choose every field by the mapping as it is now; what is different, by field. Where nobody has an opinion, what was
    seen stays."""
    changed: dict[str, Changed] = {}
    for choice in dict.fromkeys(mapping.choices.values()):
        _choose(golden, choice, cause, {}, changed)
    return changed


def _differs(
    changed: dict[str, Changed],
    name: str,
    old: Register | None,
    register: Register,
    rule: str,
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
    changed[name] = Changed(value, previous, rule, source)


def _keep(golden: Golden, choice: Choice, change: Linked, touched: Mapping[str, Register | None]) -> None:
    """Nobody has an opinion any more: what was seen stays."""
    for name in choice.fields:
        if name in touched:
            golden.keep_seen(name, change.system, change.native_id, touched[name])
