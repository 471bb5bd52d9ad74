"""What a read of a record tells."""

from __future__ import annotations

from isthmus.codecs.arrival import Reread
from isthmus.codecs.change import Change
from isthmus.tables.rows import KnownRow, news, numbered

ASK = Reread("account", "g1", "corr")
V1, V2 = "00000000000000000001", "00000000000000000002"


def told(known: KnownRow | None, row: KnownRow, ask: Reread = ASK) -> tuple[Change, KnownRow]:
    found = news("dynamics", ask, known, row, {"name": "A", "telephone1": None}, "2026-01-01T00:00:00Z")
    assert found is not None
    return found


def test_a_read_is_the_whole_row_with_its_version() -> None:
    change, known = told(None, KnownRow(V1))
    assert (change.operation, dict(change.fields), change.cleared) == ("create", {"name": "A"}, ("telephone1",))
    assert (change.version, known) == (V1, KnownRow(V1))
    assert told(known, KnownRow(V2))[0].operation == "update"


def test_an_older_read_does_not_take_the_newer_ones_place() -> None:
    assert told(KnownRow(V2), KnownRow(V1))[1] == KnownRow(V2)


def test_a_row_that_is_gone_is_a_delete_that_sorts_after_all_its_versions() -> None:
    change, known = told(KnownRow(V2), KnownRow("", exists=False))
    assert change.operation == "delete"
    assert change.version is not None
    assert change.version > V2
    assert not known.exists


def test_a_ghost_that_never_was_is_no_change() -> None:
    assert news("dynamics", ASK, None, KnownRow("", exists=False), {}, None) is None


def test_equal_reads_are_one_change_but_an_answer_that_was_asked_for_is_its_own() -> None:
    plain, again = told(None, KnownRow(V1))[0], told(KnownRow(V1), KnownRow(V1))[0]
    asked = told(KnownRow(V1), KnownRow(V1), Reread("account", "g1", "c", nonce="c1/3"))[0]
    assert plain.change_id == again.change_id != asked.change_id


def test_a_row_that_we_made_and_nobody_read_is_a_delete_of_the_record_it_was_made_for() -> None:
    gone, holds = KnownRow("", exists=False), {"isthmus_id": "c-1"}
    change, known = told_gone(None, gone, Reread("account", "g1", "corr", V1, holds=holds))
    assert (change.operation, change.fields) == ("delete", holds)
    assert change.version is not None
    assert change.version > V1
    change, _ = told_gone(KnownRow(V2), gone, Reread("account", "g1", "corr", V1, holds=holds))
    assert change.version is not None
    assert change.version > V2
    assert change.fields == {}
    assert news("dynamics", Reread("account", "g1", "corr", V1, holds=holds), known, gone, {}, None) is None


def told_gone(known: KnownRow | None, row: KnownRow, ask: Reread) -> tuple[Change, KnownRow]:
    found = news("dynamics", ask, known, row, {}, None)
    assert found is not None
    return found


def test_reads_whose_versions_have_no_order_are_numbered_when_they_differ() -> None:
    first = numbered(None, KnownRow('W/"zz"'), {})
    same = numbered(first, KnownRow('W/"zz"'), {})
    other = numbered(same, KnownRow('W/"aa"'), {})
    back = numbered(other, KnownRow('W/"zz"'), {})
    assert first.version == f'{V1} W/"zz"'
    assert same == first
    assert first.version < other.version < back.version


def test_a_read_without_any_version_is_told_by_what_is_in_it() -> None:
    first = numbered(None, KnownRow(""), {"a": 1, "b": [None, "x"]})
    same = numbered(first, KnownRow(""), {"b": [None, "x"], "a": 1})
    other = numbered(same, KnownRow(""), {"a": 2, "b": [None, "x"]})
    assert same == first
    assert first.version < other.version


def test_a_record_that_is_made_again_under_its_old_key_is_newer_than_its_end() -> None:
    live = numbered(None, KnownRow('W/"zz"'), {})
    gone = told(live, KnownRow("", exists=False))[1]
    again = numbered(gone, KnownRow('W/"zz"'), {})
    assert live.version < gone.version < again.version
    assert told(gone, again)[0].operation == "create"
