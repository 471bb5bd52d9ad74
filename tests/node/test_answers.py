"""What may be answered to which question, and about which of its records."""

from __future__ import annotations

import pytest

from isthmus.codecs.identities import question_id
from isthmus.codecs.reviews import Review, Side
from isthmus.node.reviews import ReviewView, Undecidable, answer, records, view

S1, S2, D1 = ("salesforce", "S1"), ("salesforce", "S2"), ("dynamics", "D1")


def match(*natives: tuple[str, str], id: str = "", canonical: str = "") -> ReviewView:
    """May these be one?"""
    sides = tuple(Side(*native) for native in natives)
    return view(Review(id or question_id("account", *natives[:2]), "match", "account", canonical, sides=sides))


def test_a_question_of_two_records_is_about_both() -> None:
    assert records(match(S1, D1), ()) == [S1, D1]
    assert records(match(S1, D1), [D1, S1]) == [D1, S1]


def test_of_more_records_two_are_named_and_none_that_it_is_not_about() -> None:
    asked = match(S1, S2, D1, id="shared|account|a")
    assert records(asked, [S2, D1]) == [S2, D1]
    for named in ([], [S1], [S1, S1], [S1, ("dynamics", "D9")]):
        with pytest.raises(Undecidable, match="two of its records"):
            records(asked, named)


def test_what_is_one_golden_record_already_is_no_question_of_who_is_who() -> None:
    doubles = match(S1, S2, canonical="c-1")
    with pytest.raises(Undecidable, match="one golden record"):
        records(doubles, ())
    assert answer("dismiss", doubles, None) is None


def test_records_that_wait_for_an_answer_are_not_dismissed_and_no_value_is_one() -> None:
    for verb in ("dismiss", "pin", "swap", "undo"):
        with pytest.raises(Undecidable, match="not answered by"):
            answer(verb, match(S1, D1), "x")  # type: ignore[arg-type]
    assert answer("dismiss", match(S1, S2, id="shared|account|a"), None) is None


def test_a_conflict_is_not_about_who_is_who() -> None:
    sides = (Side("salesforce", "S1", "a", counts=True), Side("dynamics", "D1", "b"))
    conflict = view(Review("conflict/c-1/name", "conflict", "account", "c-1", field="name", sides=sides))
    with pytest.raises(Undecidable, match="about one record"):
        records(conflict, ())
    assert answer("swap", conflict, None) == "b"
