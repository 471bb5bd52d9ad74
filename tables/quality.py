"""Quality: what a golden record does not tell while it breaks a rule, and what it tells once it is repaired.

Promises: which rules are broken (tables/faults.py) follows from the golden values alone, so the order of arrival cannot
matter; a record that lives nowhere breaks none; what is told after a repair is exactly the difference from what was told
last. No clock, no chance, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from isthmus.codecs.events import Changed, Source
from isthmus.codecs.linked import Linked
from isthmus.codecs.reviews import Review
from isthmus.config.mapping import EntityMapping
from isthmus.tables.deletes import Records, living
from isthmus.tables.faults import breaks
from isthmus.tables.folded import Asides, Folded, Outcome
from isthmus.tables.golden import Golden
from isthmus.tables.precedence import same
from isthmus.tables.rejection import Rejection
from isthmus.tables.tasks import tasks

NONE: AbstractSet[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Judged:
    """A record that breaks rules, or has just been repaired: then `changed` and `before` are what to tell the world."""

    rejected: bool
    changed: dict[str, Changed]
    before: Records
    asides: Asides

    def parked(self, golden: Golden, outcome: Outcome | None, systems: Iterable[str]) -> Folded:
        """What changes of these systems come to that leave the record rejected."""
        if outcome != "applied" or golden.rejection is None:
            return Folded(golden, outcome, asides=self.asides)
        for system in systems:
            golden.rejection.parked[system] = golden.rejection.parked.get(system, 0) + 1
        return Folded(golden, "parked", asides=self.asides)


def judge(
    golden: Golden,
    cause: Linked,
    mapping: EntityMapping,
    changed: dict[str, Changed],
    before: Records | None,
    *,
    anew: bool = False,
) -> Judged | None:
    """Judge what a change made of a record; None where rules have nothing to say. `before`: the records in which it lived,
    None where that cannot have changed; `anew`: the rules may be others."""
    known = golden.rejection
    rejected = known is not None and bool(known.broken)
    everything = anew or (before is not None and not before)
    loose = {one.field for one in golden.pointing if not one.known} if golden.pointing else NONE
    if not rejected and not everything and not loose and mapping.followed.watched.isdisjoint(changed):
        return None
    broken = breaks(golden, mapping, None if everything else changed.keys() | loose if loose else changed.keys())
    if not rejected and not broken:
        return None
    alive = living(golden, mapping.followed)
    if not alive:
        broken = {}
        if not rejected:
            return None
    held = golden.rejection = known or Rejection()
    if not rejected:
        held.living = tuple(sorted(alive if before is None else before))
    for name, one in changed.items():
        held.told.setdefault(name, one.previous)
    asides = _said(golden, held, broken, cause, mapping)
    if broken:
        return Judged(True, changed, frozenset(held.living), asides)
    judged = Judged(False, _untold(golden, held, cause), frozenset(held.living), asides)
    golden.rejection = Rejection(words=held.words)
    return judged


def _untold(golden: Golden, held: Rejection, cause: Linked) -> dict[str, Changed]:
    """Every field whose value is another than what was told last."""
    changed: dict[str, Changed] = {}
    for name, previous in held.told.items():
        visible, register = golden.why(name), golden.seen(name)
        value = None if register is None else register.value
        if same(value, previous):
            continue
        source = None
        if visible is not None and register is not None and register.change_id != cause.change_id:
            source = Source(visible.system, visible.native_id, register.when, register.change_id)
        changed[name] = Changed(value, previous, visible.rule if visible else "it is not mapped", source)
    return changed


def _said(golden: Golden, held: Rejection, broken: dict[str, str], cause: Linked, mapping: EntityMapping) -> Asides:
    """What stewards are told, and whose changes wait no more. Notes what is broken now."""
    before, held.broken = held.spoken, broken
    repaired = {} if broken else dict(held.parked)
    if before.keys() == held.spoken.keys():
        return Asides((_review(golden, held, cause),) if before != held.spoken else (), (), repaired)
    held.words += 1
    return Asides((_review(golden, held, cause),), tasks(golden, held, before, cause, mapping), repaired)


def judged_anew(
    golden: Golden, cause: Linked, mapping: EntityMapping, changed: dict[str, Changed], before: Records
) -> tuple[dict[str, Changed], Asides | None]:
    """Judge what became of a record by a join or a parting, which are told at once: with which values, and what stewards
    are told."""
    judged = judge(golden, cause, mapping, changed, before, anew=True) if mapping.quality else None
    if judged is None:
        return changed, None
    return {} if judged.rejected else judged.changed, judged.asides


def inherited(
    golden: Golden, loser: Golden, cause: Linked, mapping: EntityMapping, said: Asides | None
) -> Asides | None:
    """What stewards are told besides (`said`) where a record that was rejected became part of another: it is no question
    any more, and its changes wait with those of the other or not at all."""
    theirs = loser.rejection
    if theirs is None or not theirs.broken:
        return said
    own = said or Asides((), (), {})
    parked, repaired = theirs.parked, dict(own.repaired)
    into = golden.rejection.parked if golden.rejected and golden.rejection is not None else repaired
    for system, number in parked.items():
        into[system] = into.get(system, 0) + number
    left = Rejection(words=theirs.words + 1)
    closed = tasks(loser, left, theirs.spoken, cause, mapping)
    return Asides((*own.reviews, _review(loser, left, cause)), (*own.tasks, *closed), repaired)


def _review(golden: Golden, held: Rejection, cause: Linked) -> Review:
    reasons = tuple(f"{name}: {reason}" for name, reason in sorted(held.spoken.items()))
    id_ = f"rejected/{golden.canonical}"
    return Review(
        id_, "rejected", golden.entity, golden.canonical, cause.changed_at, reasons=reasons, closed=not reasons
    )
