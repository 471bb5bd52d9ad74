"""Two systems that say different things at about the same time: a question for a person, whatever the rule decides."""

from __future__ import annotations

from itertools import permutations

import pytest
from msgspec.structs import replace
from test_pins import ACCOUNT, decided, folded, said

from isthmus.codecs.events import Source
from isthmus.codecs.linked import Folding, Part, Report
from isthmus.codecs.reviews import Review, Side
from isthmus.tables.fold import fold
from isthmus.tables.parting import part


def told(*items: Folding) -> tuple[Review, ...]:
    """What the last of them asks."""
    return folded(*items).reviews


def test_both_values_are_shown_and_which_one_counts() -> None:
    (review,) = told(said("salesforce", 1, phone="1"), said("dynamics", 2, phone="2"))
    assert (review.id, review.field, review.at) == ("conflict/c-1/phone", "phone", "2026-01-01T00:02:00Z")
    assert review.sides == (
        Side("dynamics", "d-1", "2", "2026-01-01T00:02:00Z", "dynamics@2", True),
        Side("salesforce", "001S", "1", "2026-01-01T00:01:00Z", "salesforce@1", False),
    )


def test_whichever_comes_second_finds_it() -> None:
    pair = (said("salesforce", 1, phone="1"), said("dynamics", 2, phone="2"))
    assert {told(*some)[0].id for some in permutations(pair)} == {"conflict/c-1/phone"}


@pytest.mark.parametrize(
    ("items", "why"),
    [
        ((said("salesforce", 1, phone="1"), said("dynamics", 2, phone="1")), "they agree"),
        ((said("salesforce", 1, phone="1"), said("dynamics", 9, phone="2")), "too long apart"),
        ((said("salesforce", 1, credit_limit="1"), said("dynamics", 2, credit_limit="2")), "only one is asked"),
        ((said("salesforce", 1, phone="1"), said("salesforce", 2, phone="2")), "one system alone"),
        (
            (
                said("salesforce", 1, phone="1"),
                Report("dynamics", "d-1", "c-1", "account", 1, "written", "0001", {"phone": "1"}),
                said("salesforce", 2, phone="2"),
            ),
            "what we wrote is nobody's opinion",
        ),
        (
            (
                said("dynamics", 1, phone="1"),
                Report("salesforce", "001S", "c-1", "account", 1, "written", "0001", {"phone": "1"}),
                said("salesforce", 2, phone="2"),
            ),
            "who changed it had seen the other's value",
        ),
        ((decided("pin", 1, "phone", "1"), said("dynamics", 2, phone="2")), "a steward is asked first"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_this_is_no_conflict(items: tuple[Folding, ...], why: str) -> None:
    assert told(*items) == (), why


def test_a_conflict_is_settled_when_a_person_types_what_the_other_has() -> None:
    pair = (said("salesforce", 1, phone="1"), said("dynamics", 2, phone="2"))
    by_hand = replace(said("salesforce", 3, phone="2"), tagged=False)
    (review,) = told(*pair, by_hand)
    assert (review.id, review.closed) == ("conflict/c-1/phone", True)


def test_an_entity_may_have_no_conflicts() -> None:
    patient = ACCOUNT.model_copy(update={"conflict_seconds": 0.0})
    first = fold(None, said("salesforce", 1, phone="1"), patient)
    assert fold(first.state, said("dynamics", 2, phone="2"), patient).reviews == ()


def test_what_is_shown_of_a_record_that_has_left_is_no_side_of_a_conflict() -> None:
    both = folded(said("salesforce", 1, phone="1", website="w"), said("dynamics", 2, phone="2"))
    cause = Source("salesforce", "001S", "2026-01-01T00:03:00Z", "x")
    parted = part(both.state, Part("c-1", "c-2", "salesforce", "001S", "account", "x", cause), ACCOUNT)
    assert parted is not None
    left = parted.left.state
    assert left.value("website") == "w"
    assert fold(left, said("dynamics", 4, phone="3"), ACCOUNT).reviews == ()
