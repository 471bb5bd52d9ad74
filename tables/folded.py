"""What folding an item into a golden record came to: its outcome, the event for the world, and what systems lack now.

Promises: an event's id follows from the record and its revision, so a replay names it the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from isthmus.codecs.events import CanonicalEvent, Changed, Source
from isthmus.codecs.linked import Linked, Report
from isthmus.tables.golden import DesiredWrite, Golden

Outcome = Literal["applied", "unchanged", "echo"]


@dataclass(slots=True)
class Folded:
    """What one item did: the new state, its outcome in the ledger (None for a report), and what to tell the world."""

    state: Golden
    outcome: Outcome | None
    event: CanonicalEvent | None = None
    writes: tuple[DesiredWrite, ...] = ()


def changed_event(
    golden: Golden, change: Linked, changed: Mapping[str, Changed], before: frozenset[tuple[str, str]] | None
) -> CanonicalEvent:
    """What a change did. `before`: the records that lived before, None where that cannot have changed."""
    cause = Source(change.system, change.native_id, change.changed_at, change.change_id)
    return _canonical(golden, _kind(golden, changed, before), change.changed_at, change.correlation, cause, changed)


def _kind(golden: Golden, changed: Mapping[str, Changed], before: frozenset[tuple[str, str]] | None) -> str:
    if before is None:
        return "updated"
    living = golden.alive()
    if not living:
        return "deleted"
    if not before and golden.revision == 1:
        return "created"
    return "updated" if changed else "linked" if living - before else "unlinked"


def linked_event(golden: Golden, report: Report) -> CanonicalEvent:
    """A write of ours made a record."""
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
