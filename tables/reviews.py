"""The reviews table: what waits for a person, and what was settled, by the question's id.

Promises: a question that is asked again opens again with what is known now; closing one that nobody asked does nothing.
"""

from __future__ import annotations

from msgspec.structs import replace

from isthmus.codecs.reviews import Review
from isthmus.tables.unit import Table

REVIEWS: Table[Review] = Table("reviews", Review)


def reviewed(known: Review | None, told: Review) -> Review | None:
    """What to remember of a question after this word of it; None where there is nothing to remember."""
    if not told.closed:
        return told
    return None if known is None else replace(known, closed=True)
