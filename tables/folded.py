"""What folding an item into a golden record came to: its outcome, the event for the world, and what systems lack now.

Promises: values; an event is of the record's revision, so a replay names it the same (codecs/cloud_events.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from isthmus.codecs.cloud_events import CanonicalEvent
from isthmus.codecs.events import Body, Changed, Source
from isthmus.codecs.linked import Linked, Report
from isthmus.codecs.reviews import Review
from isthmus.tables.alive import links
from isthmus.tables.deletes import Records
from isthmus.tables.golden import DesiredWrite, Golden

Outcome = Literal["applied", "unchanged", "echo", "parked"]


@dataclass(frozen=True, slots=True)
class Asides:
    """What stewards are told: questions for the queue, changes of their tasks; `repaired`: how many changes of each system
    are parked no more."""

    reviews: tuple[Review, ...]
    tasks: tuple[Linked, ...]
    repaired: Mapping[str, int]


class Folded:
    """What one item did: the new state, its outcome in the ledger (None for a report), and what to tell the world.
    `echoes`: how often each layer of tables/echoes.py knew a value."""

    __slots__ = ("asides", "echoes", "event", "outcome", "reviews", "state", "writes")

    def __init__(
        self,
        state: Golden,
        outcome: Outcome | None,
        event: CanonicalEvent | None = None,
        writes: tuple[DesiredWrite, ...] = (),
        reviews: tuple[Review, ...] = (),
        asides: Asides | None = None,
    ) -> None:
        self.state = state
        self.outcome = outcome
        self.event = event
        self.writes = writes
        self.reviews = reviews
        self.asides = asides
        self.echoes: dict[str, int] | None = None


def changed_event(
    golden: Golden, change: Linked, changed: Mapping[str, Changed], before: Records | None, alive: Records | None
) -> CanonicalEvent:
    """What a change did. `before`, `alive`: the records in which it lived and lives, None where that cannot have
    changed."""
    cause = Source(change.system, change.native_id, change.changed_at, change.change_id)
    return canonical_event(golden, _kind(golden, changed, before, alive), change.correlation, cause, changed)


def _kind(golden: Golden, changed: Mapping[str, Changed], before: Records | None, alive: Records | None) -> str:
    if before is None or alive is None:
        return "updated"
    if not alive:
        return "deleted"
    if not before:
        return "created" if golden.revision == 1 else "restored"
    return "updated" if changed else "linked" if alive - before else "unlinked"


def reported_event(golden: Golden, report: Report, before: Records, alive: Records) -> CanonicalEvent:
    """What a write of ours did: it made a record, which may be the first after the golden one had ended, or one that was
    made is gone again."""
    cause = Source(report.system, report.native_id, "", "")
    return canonical_event(golden, _kind(golden, {}, before, alive), f"{golden.canonical}/{report.rev}", cause, {})


def canonical_event(
    golden: Golden,
    kind: str,
    correlation: str,
    cause: Source,
    changed: Mapping[str, Changed],
    absorbed: str | None = None,
    redirect: str | None = None,
) -> CanonicalEvent:
    """An event of a golden record at its present revision; `kind` and the rest are as in codecs/events.py."""
    told = links(golden.living)
    body = Body(golden.entity, golden.canonical, golden.revision, cause, changed, told, absorbed, redirect)
    return CanonicalEvent(kind, correlation, body)
