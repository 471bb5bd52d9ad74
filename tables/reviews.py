"""The reviews table: what waits for a person, and what was settled, by the question's id.

Promises: a question that is asked again opens again with what is known now; closing one that nobody asked does nothing.
"""

from __future__ import annotations

from msgspec.structs import replace

from isthmus.codecs.reviews import Review
from isthmus.tables.unit import Table

KEPT = 50
REVIEWS: Table[Review] = Table("reviews", Review)


def reviewed(known: Review | None, told: Review) -> Review | None:
    """What to remember of a question after this word of it; None where there is nothing to remember."""
    if known is None:
        return None if told.closed else told
    decided = (*known.decided, *told.decided)[-KEPT:]
    return replace(known if told.closed else told, closed=told.closed, decided=decided)
