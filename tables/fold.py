"""The fold: what one change or report makes of a golden record, and what has to be told to the world for it.

Promises: a register keeps the newest version whatever the order of arrival; the visible value is a choice over registers
that are opinions, and our own writes coming back are none; a system is told what it lacks once, and again only when it
contradicts. No clock, no chance, no I/O: the same input gives the same output, ids included.
"""

from __future__ import annotations

from isthmus.codecs.events import Changed
from isthmus.codecs.linked import Absorb, Folding, Linked, Loaded, Report, Resolved, Settled, Tell
from isthmus.codecs.reviews import PINS
from isthmus.config.mapping import EntityMapping
from isthmus.tables import echoes, plain
from isthmus.tables.choosing import look
from isthmus.tables.conflicts import conflicts, settled
from isthmus.tables.dangling import answer, point
from isthmus.tables.deletes import Records, hear, living
from isthmus.tables.folded import Folded, Outcome, changed_event
from isthmus.tables.golden import Golden
from isthmus.tables.heard import Heard
from isthmus.tables.hearing import learn, say
from isthmus.tables.joining import absorb, differences, settle
from isthmus.tables.pins import as_change
from isthmus.tables.quality import judge
from isthmus.tables.references import rename
from isthmus.tables.reports import fold_report, tell_again
from isthmus.tables.wishes import told, wishes


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
    decided.reviews = (settled(item),)
    return decided


def _fold_change(golden: Golden, item: Linked, mapping: EntityMapping) -> Folded:
    followed = mapping.followed
    before = living(golden, followed) if _may_move(golden, item) else None
    if before is None and (different := plain.take(golden, item, followed)) is not None:
        return _plain(golden, item, mapping, different)
    heard = learn(golden, item)
    if followed.existing:
        point(golden, item, followed)
    changed = look(golden, followed, item, heard)
    alive = None if before is None else living(golden, followed)
    if alive != before:
        heard.moved = True
    folded = _told(golden, item, mapping, changed, before, alive, heard.outcome(), (item.system,))
    folded.reviews = conflicts(golden, item, heard, followed)
    return echoes.noted(folded, item, heard.layers, nothing_new=not heard.opinions)


def _plain(golden: Golden, item: Linked, mapping: EntityMapping, changed: dict[str, Changed]) -> Folded:
    hear(golden, item)
    if mapping.followed.existing:
        point(golden, item, mapping.followed)
    folded = _told(golden, item, mapping, changed, None, None, "applied", (item.system,))
    return echoes.noted(folded, item, {}, nothing_new=False)


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
    followed = mapping.followed
    judged = judge(golden, cause, mapping, changed, before) if followed.quality else None
    if judged is not None:
        if judged.rejected:
            return judged.parked(golden, outcome, systems)
        changed, before, alive = judged.changed, judged.before, living(golden, followed)
    lacking = wishes(golden, followed, followed.systems, cause.correlation)
    news = bool(changed) or alive != before
    if news or lacking:
        golden.revision += 1
    event = changed_event(golden, cause, changed, before, alive) if news else None
    asides = None if judged is None else judged.asides
    return Folded(golden, outcome, event, told(golden, lacking) if lacking else (), asides=asides)


def _load(golden: Golden, item: Loaded, mapping: EntityMapping) -> Folded:
    """Take in all records of a golden record that were matched, before any system is told what it lacks."""
    followed = mapping.followed
    before, values = living(golden, followed), golden.values()
    opinions, cause = 0, item.rows[0]
    for row in item.rows:
        heard = learn(golden, row)
        point(golden, row, followed)
        look(golden, followed, row, heard)
        opinions += heard.opinions
    changed, alive = differences(golden, values), living(golden, followed)
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
    changed = look(golden, mapping.followed, change, say(golden, change, Heard()))
    return _told(golden, change, mapping, changed, None, None, None, ())


def _may_move(golden: Golden, change: Linked) -> bool:
    """Can this change alter which records live?"""
    if change.native_id == PINS:
        return False
    natives = golden.living.get(change.system)
    known = natives.get(change.native_id) if natives else None
    return known is None or not known.alive or change.operation in ("delete", "undelete") or bool(golden.endings)
