"""review: keeps what waits for a person: conflicts, rejected records, records that may be one.

Promises: a question stands once, however often it is asked; it closes when its asker says so, or a person has decided.
"""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.codecs.dead import dead_letter
from isthmus.codecs.frames import Elements
from isthmus.codecs.reviews import Review
from isthmus.tables.reviews import REVIEWS, reviewed
from isthmus.tables.stage import Batch, Input, Stage
from isthmus.tables.unit import Unit

TOPIC = "reviews"


def stage() -> Stage:
    """The stage over all questions."""
    return Stage("review", (Input(TOPIC, Elements(Review)),), (REVIEWS,), _fold, _bury)


def _fold(unit: Unit, batches: Sequence[Batch]) -> None:
    for batch in batches:
        for review in batch.elements:
            keep(unit, review)


def keep(unit: Unit, review: Review) -> None:
    """Take in what was asked, or settled."""
    key = review.id.encode()
    known = unit.get(REVIEWS, key)
    remembered = reviewed(known, review)
    if remembered is not None:
        unit.put(REVIEWS, key, remembered)


def _bury(unit: Unit, raw: bytes, fault: Exception) -> None:
    unit.bury(dead_letter(fault, stage="review", original=raw))
