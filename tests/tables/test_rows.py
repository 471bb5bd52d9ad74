"""What a read of a record tells."""

from __future__ import annotations

from isthmus.codecs.arrival import Found, Reread
from isthmus.codecs.change import Change
from isthmus.tables.rows import KnownRow, news, numbered

V1, V2, V3 = (f"{number:020}" for number in (1, 2, 3))
GONE = KnownRow("", exists=False)
ASK = Reread("account", "g1", "corr")
FED = Reread("account", "g1", "corr", found=Found({}, V1))
QUIET = Reread("account", "g1", "corr", found=Found({}, V1), quiet=True, full=1)


def heard(known: KnownRow | None, row: KnownRow, ask: Reread = ASK) -> tuple[Change | None, KnownRow | None]:
    return news("dynamics", ask, known, row, {"name": "A", "telephone1": None}, "2026-01-01T00:00:00Z")


def told(known: KnownRow | None, row: KnownRow, ask: Reread = ASK) -> tuple[Change, KnownRow]:
    change, remembered = heard(known, row, ask)
    assert change is not None
    assert remembered is not None
    return change, remembered


def test_a_read_is_the_whole_row_with_its_version() -> None:
    change, known = told(None, KnownRow(V1))
    assert (change.operation, dict(change.fields), change.cleared) == ("create", {"name": "A"}, ("telephone1",))
    assert (change.version, known) == (V1, KnownRow(V1))
    assert told(known, KnownRow(V2))[0].operation == "update"


def test_an_older_read_does_not_take_the_newer_ones_place() -> None:
    assert told(KnownRow(V2), KnownRow(V1))[1] == KnownRow(V2)


def test_a_row_that_is_gone_is_a_delete_that_sorts_after_all_its_versions() -> None:
    change, known = told(KnownRow(V2), GONE)
    assert change.operation == "delete"
    assert change.version is not None
    assert change.version > V2
    assert not known.exists


def test_a_ghost_that_never_was_is_no_change() -> None:
    assert heard(None, GONE) == (None, None)


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
    assert news("dynamics", Reread("account", "g1", "corr", V1, holds=holds), known, gone, {}, None) == (None, None)


def test_a_row_that_we_made_and_only_a_feed_met_is_a_delete_of_the_record_it_was_made_for() -> None:
    ask = Reread("account", "g1", "corr", V1, holds={"isthmus_id": "c-1"})
    change, known = told_gone(KnownRow(V2, told=False), GONE, ask)
    assert (change.operation, change.fields, known) == ("delete", ask.holds, KnownRow(f"{V2}.deleted", exists=False))


def told_gone(known: KnownRow | None, row: KnownRow, ask: Reread) -> tuple[Change, KnownRow]:
    change, remembered = news("dynamics", ask, known, row, {}, None)
    assert change is not None
    assert remembered is not None
    return change, remembered


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
    assert told(gone, again)[0].operation == "undelete"


def test_a_feed_is_news_only_where_it_is_newer_than_what_is_known() -> None:
    assert told(None, KnownRow(V1), FED)[0].operation == "create"
    assert heard(KnownRow(V1), KnownRow(V1), FED) == (None, KnownRow(V1))
    assert heard(KnownRow(V2), KnownRow(V1), FED) == (None, KnownRow(V2))
    assert told(KnownRow(V1), KnownRow(V2), FED)[0].operation == "update"


def test_a_feed_and_a_webhook_tell_the_same_change() -> None:
    assert told(None, KnownRow(V1), FED)[0].change_id == told(None, KnownRow(V1), ASK)[0].change_id


def test_what_was_there_before_is_known_quietly_and_heard_when_it_changes() -> None:
    change, known = heard(None, KnownRow(V1), QUIET)
    assert (change, known) == (None, KnownRow(V1, told=False, full=1))
    change, after = told(known, KnownRow(V2), FED)
    assert (change.operation, after) == ("update", KnownRow(V2, full=1))


def test_what_was_never_told_of_goes_without_a_word() -> None:
    change, known = heard(KnownRow(V1, told=False), GONE)
    assert change is None
    assert known == KnownRow(f"{V1}.deleted", exists=False, told=False)


def test_columns_that_were_not_read_before_are_heard_at_the_same_version_but_once() -> None:
    wider = Reread("account", "g1", "corr", found=Found({}, V1), nonce="columns", full=2)
    first, again = told(KnownRow(V1), KnownRow(V1), wider)[0], told(KnownRow(V1), KnownRow(V1), wider)[0]
    assert first.change_id == again.change_id != told(None, KnownRow(V1))[0].change_id
    assert heard(KnownRow(V1, told=False), KnownRow(V1), wider)[0] is None


def test_a_page_that_was_read_before_the_deletion_does_not_bring_the_row_back() -> None:
    dead = KnownRow(f"{V2}.deleted", exists=False)
    assert heard(dead, KnownRow(V2), FED) == (None, dead)
    assert told(dead, KnownRow(V3), FED)[0].operation == "undelete", "a row that was restored is news"


def test_the_last_full_read_that_met_a_row_is_remembered() -> None:
    met = Reread("account", "g1", "corr", found=Found({}, V1), full=4)
    assert heard(KnownRow(V1, full=3), KnownRow(V1), met) == (None, KnownRow(V1, full=4))
    assert told(KnownRow(V1, full=3), KnownRow(V2), ASK)[1].full == 3
