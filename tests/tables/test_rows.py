"""A read becomes the difference it is news of."""

from __future__ import annotations

from isthmus.codecs.arrival import Reread
from isthmus.tables.rows import KnownRow, news

ASK = Reread("account", "g1", "corr")
V1, V2 = "00000000000000000001", "00000000000000000002"


def test_a_first_read_is_a_create_and_its_nulls_are_no_opinion() -> None:
    told = news("dynamics", ASK, None, True, {"name": "A", "telephone1": None}, V1, "2026-01-01T00:00:00Z")
    assert told is not None
    change, known = told
    assert (change.operation, dict(change.fields), change.cleared) == ("create", {"name": "A"}, ())
    assert known == KnownRow(V1, {"name": "A", "telephone1": None})


def test_only_what_differs_from_the_last_read_is_in_the_change() -> None:
    known = KnownRow(V1, {"name": "A", "telephone1": "1"})
    told = news("dynamics", ASK, known, True, {"name": "A", "telephone1": None}, V2, None)
    assert told is not None
    assert (told[0].operation, dict(told[0].fields), told[0].cleared) == ("update", {}, ("telephone1",))


def test_an_older_read_says_nothing_and_changes_nothing() -> None:
    known = KnownRow(V2, {"name": "B"})
    told = news("dynamics", ASK, known, True, {"name": "A"}, V1, None)
    assert told is not None
    assert (dict(told[0].fields), told[1]) == ({}, known)


def test_a_row_that_is_gone_is_a_delete_that_sorts_after_all_its_versions() -> None:
    told = news("dynamics", ASK, KnownRow(V2, {"name": "B"}), False, {}, "", None)
    assert told is not None
    assert told[0].operation == "delete"
    assert told[0].version is not None
    assert told[0].version > V2
    assert not told[1].exists


def test_a_ghost_that_never_was_is_no_change() -> None:
    assert news("dynamics", ASK, None, False, {}, "", None) is None


def test_a_read_asked_for_after_a_conflict_is_news_even_where_nothing_differs() -> None:
    known = KnownRow(V1, {"name": "A"})
    plain = news("dynamics", ASK, known, True, {"name": "A"}, V1, None)
    asked = news("dynamics", Reread("account", "g1", "c", nonce="c1/3"), known, True, {"name": "A"}, V1, None)
    assert plain is not None
    assert asked is not None
    assert plain[0].change_id != asked[0].change_id
