"""review keeps questions: each stands once, and is closed once."""

from __future__ import annotations

from desk import Desk
from msgspec.structs import replace

from isthmus.agents import review
from isthmus.codecs.reviews import Review
from isthmus.tables.reviews import REVIEWS
from isthmus.tables.stage import Batch

ASKED = Review("conflict/c1/phone", "conflict", "account", "c1", field="phone")
CLOSED = replace(ASKED, closed=True)


async def held(*told: Review) -> list[Review]:
    """What is remembered after these, one unit of work each."""
    desk = Desk(review.stage())
    for one in told:
        await desk.work(Batch("reviews", [one]))
    return [REVIEWS.decode(raw) for _, raw in desk.tables["reviews"].scan()]


async def test_a_question_that_is_asked_twice_stands_once() -> None:
    assert await held(ASKED, ASKED) == [ASKED]


async def test_a_settled_question_is_remembered_as_closed() -> None:
    assert await held(ASKED, CLOSED) == [CLOSED]


async def test_a_question_that_comes_again_is_open_again() -> None:
    assert await held(ASKED, CLOSED, ASKED) == [ASKED]


async def test_closing_what_nobody_asked_leaves_nothing() -> None:
    assert await held(CLOSED) == []
