"""decide: takes what stewards decide to the golden record and to the question that it answers.

Promises: a decision counts once; it is a change like any other, so it is received here and has its outcome in merge.
"""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.codecs.dead import dead_letter
from isthmus.codecs.decisions import Decision
from isthmus.codecs.frames import Elements
from isthmus.codecs.linked import Decide
from isthmus.codecs.reviews import STEWARD, Decided, Review
from isthmus.tables.decisions import DECISIONS, Heard
from isthmus.tables.stage import Batch, Input, Stage
from isthmus.tables.unit import Unit

TOPIC = "decisions"


def stage() -> Stage:
    """The stage over all entities."""
    return Stage("decide", (Input(TOPIC, Elements(Decision)),), (DECISIONS,), _fold, _bury)


def _fold(unit: Unit, batches: Sequence[Batch]) -> None:
    for batch in batches:
        for decision in batch.elements:
            decide(unit, decision)


def decide(unit: Unit, decision: Decision) -> None:
    """Send a decision on its two ways."""
    key = (decision.canonical or decision.review).encode()
    heard = (unit.get(DECISIONS, key) or Heard()).after(decision.id)
    if heard is None:
        return
    unit.put(DECISIONS, key, heard)
    if decision.verb != "dismiss":
        unit.count(STEWARD, decision.entity, "received")
        unit.send("merge", decision.canonical.encode(), _order(decision))
    if decision.review:
        unit.send("reviews", decision.review.encode(), _answer(decision))


def _order(decision: Decision) -> Decide:
    verb = decision.verb
    return Decide(
        decision.canonical,
        decision.entity,
        decision.field,
        "release" if verb == "release" else "undo" if verb == "undo" else "pin",
        decision.id,
        decision.by,
        decision.at,
        decision.value,
        decision.why,
    )


def _answer(decision: Decision) -> Review:
    deed = Decided(decision.verb, decision.by, decision.at, decision.value, decision.why)
    return Review(decision.review, "conflict", decision.entity, decision.canonical, closed=True, decided=(deed,))


def _bury(unit: Unit, raw: bytes, fault: Exception) -> None:
    unit.bury(dead_letter(fault, stage="decide", original=raw))
