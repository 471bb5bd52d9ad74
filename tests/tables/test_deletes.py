"""Deletes: whose count, what is told whom, and that nothing is told twice or undone by what comes late."""

from __future__ import annotations

from typing import Any

import pytest
from policies import by_policy

from isthmus.codecs.frames import encode
from isthmus.codecs.linked import Linked, Report, Tell
from isthmus.config.mapping import EntityMapping, load_mappings
from isthmus.tables.fold import fold
from isthmus.tables.folded import Folded
from isthmus.tables.golden import GOLDEN, DesiredWrite, Golden
from isthmus.tables.reevaluation import reevaluate

ACCOUNT = load_mappings().entities["account"]
POLICY = {"from": ["salesforce"], "dynamics": "deactivate"}
DELETES = by_policy(ACCOUNT, {"from": ["salesforce"], "dynamics": "delete"})


class Book:
    """A golden record, and all that was told."""

    def __init__(self, mapping: EntityMapping = DELETES) -> None:
        self.mapping = mapping
        self.golden: Golden | None = None
        self.writes: list[DesiredWrite] = []
        self.events: list[str] = []

    def take(self, item: Any) -> Folded:
        held = None if self.golden is None else GOLDEN.decode(encode(self.golden))
        folded = fold(held, item, self.mapping)
        self.golden = folded.state
        self.writes += folded.writes
        self.events += [folded.event.kind] if folded.event else []
        return folded

    def said(self, system: str, version: int, operation: Any = "update", native: str = "", **more: Any) -> Folded:
        tagged, suffix = more.pop("tagged", None), more.pop("suffix", "")
        return self.take(
            Linked(
                system=system,
                native_id=native or f"{system}-1",
                entity="account",
                canonical="c1",
                operation=operation,
                fields=more,
                cleared=(),
                version=f"{version:020d}{suffix}",
                changed_at=f"2026-01-01T00:00:{version:02d}Z",
                change_id=f"{system}{version}{suffix}",
                correlation="c",
                tagged=tagged,
            )
        )

    def wrote(self, outcome: Any = "written", native: str = "dynamics-1", version: int | None = None) -> Folded:
        return self.came_of(self.writes[-1], native, outcome, version)

    def came_of(self, write: DesiredWrite, native: str, outcome: Any = "written", version: int | None = None) -> Folded:
        left = None if version is None else f"{version:020d}"
        return self.take(
            Report(write.system, native, "c1", "account", write.revision, outcome, left, write.fields, write.action)
        )


@pytest.fixture
def book() -> Book:
    """A record in both systems."""
    book = Book()
    book.said("salesforce", 1, "create", name="Alder")
    book.wrote()
    return book


def test_the_end_is_told_once(book: Book) -> None:
    assert [write.action for write in book.said("salesforce", 5, "delete").writes] == ["delete"]
    assert book.said("dynamics", 2, phone="1").writes == ()
    assert book.wrote().writes == ()
    assert book.said("salesforce", 4, phone="2").writes == ()
    assert book.said("dynamics", 6, "delete").outcome == "echo"
    assert len(book.writes) == 2


def test_a_delete_where_deletes_do_not_count_is_told_nobody_and_stays(book: Book) -> None:
    assert book.said("dynamics", 5, "delete", tagged=False).writes == ()
    assert book.said("salesforce", 6, phone="1").writes == ()
    assert book.events == ["created", "linked", "unlinked", "updated"]


@pytest.mark.parametrize(("first", "events"), [("report", ["linked", "unlinked"]), ("delete", ["deleted", "restored"])])
def test_a_delete_that_overtakes_word_of_the_twin_ends_the_record_and_the_word_restores_it(
    first: str, events: list[str]
) -> None:
    book = Book(ACCOUNT)
    book.said("dynamics", 1, "create", name="Birch")
    if first == "report":
        book.wrote(native="salesforce-1")
    book.said("dynamics", 2, "delete")
    if first == "delete":
        book.wrote(native="salesforce-1")
    assert book.events == ["created", *events]
    assert book.golden is not None
    assert book.golden.links == {"dynamics": {"dynamics-1": False}, "salesforce": {"salesforce-1": True}}
    assert len(book.writes) == 1, "and nothing is made anew"


def test_an_end_that_was_refused_is_asked_for_again_when_the_row_is_read(book: Book) -> None:
    book.said("salesforce", 5, "delete")
    assert book.wrote("refused").writes == ()
    again = book.said("dynamics", 3, phone="1").writes
    assert [(write.action, write.known_version) for write in again] == [("delete", f"{3:020d}")]


def test_an_end_that_is_held_waits_for_a_person(book: Book) -> None:
    book.said("salesforce", 5, "delete")
    book.wrote("held")
    assert book.said("dynamics", 3, phone="1").writes == ()
    (write,) = book.take(Tell("dynamics", "c1", "account", "c")).writes
    assert (write.action, write.released) == ("delete", True)
    assert book.take(Tell("dynamics", "c1", "account", "c")).writes == ()


def test_an_undelete_takes_back_an_end_that_is_still_on_its_way(book: Book) -> None:
    book.said("salesforce", 5, "delete")
    ended = book.writes[-1]
    (back,) = book.said("salesforce", 6, "undelete", name="Alder").writes
    assert (back.action, back.native_id) == ("reactivate", "dynamics-1")
    assert back.revision > ended.revision
    book.wrote()
    assert book.said("salesforce", 7, phone="1").writes[0].action == "upsert"


def test_an_undelete_that_meets_a_delete_done_meanwhile_makes_the_record_anew(book: Book) -> None:
    book.said("salesforce", 5, "delete")
    ended = book.writes[-1]
    book.said("salesforce", 6, "undelete", name="Alder")
    report = Report("dynamics", "dynamics-1", "c1", "account", ended.revision, "written", None, {}, "delete")
    assert book.take(report).writes == ()
    (anew,) = book.said("dynamics", 8, "delete").writes
    assert (anew.action, anew.native_id, dict(anew.fields)) == ("upsert", None, {"name": "Alder"})
    assert book.said("dynamics", 8, "delete").writes == ()
    book.wrote(native="dynamics-2")
    assert book.golden is not None
    assert book.golden.links["dynamics"] == {"dynamics-1": False, "dynamics-2": True}
    assert book.events == ["created", "linked", "deleted", "restored", "unlinked", "linked"]


def test_what_was_to_be_made_anew_is_asked_for_again_where_the_end_of_its_twin_took_its_place() -> None:
    book = Book(by_policy(ACCOUNT, {"from": ["salesforce", "dynamics"], "salesforce": "delete", "dynamics": "delete"}))
    book.said("salesforce", 1, "create", name="Alder")
    first = book.writes[-1]
    book.said("salesforce", 2, name="Birch")
    twin = book.writes[-1]
    book.came_of(first, "dynamics-1", version=1)
    book.said("dynamics", 3, "delete", tagged=False)
    book.wrote(native="salesforce-1")
    assert book.said("salesforce", 6, "undelete", name="Birch").writes[-1].native_id is None
    book.came_of(twin, "dynamics-2", version=1)
    book.said("salesforce", 7, "delete", tagged=False)
    assert (book.writes[-1].action, book.writes[-1].native_id) == ("delete", "dynamics-2")
    book.wrote(native="dynamics-2")
    (anew,) = book.said("salesforce", 8, "undelete", name="Birch").writes
    assert (anew.system, anew.native_id, dict(anew.fields)) == ("dynamics", None, {"name": "Birch"})
    assert book.said("dynamics", 9, "delete", native="dynamics-2").writes == (), "and once"


def test_what_was_still_to_be_made_anew_revives_nothing_though_its_values_were_heard_of_a_twin() -> None:
    book = Book(by_policy(ACCOUNT, {"from": ["salesforce", "dynamics"], "salesforce": "delete", "dynamics": "delete"}))
    book.said("salesforce", 1, "create", name="Alder")
    book.wrote(version=1)
    book.said("dynamics", 3, "delete", tagged=False)
    book.wrote(native="salesforce-1")
    assert book.said("salesforce", 6, "undelete", name="Alder").writes[-1].native_id is None
    book.said("dynamics", 7, native="dynamics-2", name="Alder")
    book.said("dynamics", 8, "delete", native="dynamics-2", tagged=False)
    assert (book.writes[-1].system, book.writes[-1].action) == ("salesforce", "delete")
    book.wrote(native="salesforce-1")
    (end,) = book.said("dynamics", 9, native="dynamics-3", name="Alder").writes
    assert (end.native_id, end.action) == ("dynamics-3", "delete")


def test_an_undelete_that_is_heard_before_its_delete_ends_nothing(book: Book) -> None:
    assert book.said("salesforce", 6, "undelete", name="Alder").writes == ()
    assert book.said("salesforce", 5, "delete").writes == ()
    assert book.events == ["created", "linked"]


def test_where_both_count_the_newest_word_decides_and_a_delete_between_equals() -> None:
    both = {"from": ["salesforce", "dynamics"], "salesforce": "delete", "dynamics": "delete"}
    for deleted, undone, ends in ((5, 6, False), (7, 6, True), (6, 6, True)):
        for first in (True, False):
            book = Book(by_policy(ACCOUNT, both))
            book.said("salesforce", 1, "create", name="Alder")
            book.wrote()
            book.said("salesforce", 4, "delete", tagged=False)
            if first:
                book.said("dynamics", deleted, "delete", tagged=False)
            book.said("salesforce", undone, "undelete", name="Alder")
            if not first:
                book.said("dynamics", deleted, "delete", tagged=False)
            assert (book.writes[-1].system, book.writes[-1].action) == (
                ("salesforce", "delete") if ends else ("dynamics", "upsert")
            )


def test_a_second_record_that_a_person_made_ends_too(book: Book) -> None:
    book.said("dynamics", 2, "create", native="dynamics-2", phone="1")
    book.said("salesforce", 5, "delete")
    assert book.writes[-1].native_id == "dynamics-1"
    assert book.said("dynamics", 6, phone="2").writes == (), "one at a time, for a newer wish replaces an older one"
    (second,) = book.wrote().writes
    assert (second.action, second.native_id) == ("delete", "dynamics-2")
    assert book.wrote(native="dynamics-2").writes == ()


def test_a_policy_that_is_put_in_force_ends_what_was_deleted_before_and_one_that_goes_takes_it_back() -> None:
    book = Book(ACCOUNT)
    book.said("salesforce", 1, "create", name="Alder")
    book.wrote()
    assert book.said("salesforce", 5, "delete").writes == ()
    assert book.golden is not None
    ended = reevaluate(book.golden, by_policy(ACCOUNT, POLICY), "2", "2026-01-02T00:00:00Z")
    assert [write.action for write in ended.writes] == ["deactivate"]
    assert ended.event is not None
    assert ended.event.kind == "deleted"
    back = reevaluate(ended.state, ACCOUNT, "1", "2026-01-03T00:00:00Z")
    assert [write.action for write in back.writes] == ["reactivate"]
    assert back.event is not None
    assert back.event.kind == "restored"


def test_a_delete_counts_though_our_own_write_left_a_newer_version_than_was_ever_read() -> None:
    book = Book()
    book.said("salesforce", 1, name="A")
    book.said("dynamics", 2, name="A")
    book.said("salesforce", 3, name="B")
    book.wrote(version=9)
    assert book.golden is not None
    assert book.golden.living["dynamics"]["dynamics-1"].newest == f"{9:020d}"
    gone = book.said("dynamics", 2, "delete", suffix=".deleted")
    assert gone.state.links == {"salesforce": {"salesforce-1": True}, "dynamics": {"dynamics-1": False}}
    # A read of before it went, that comes late, brings nothing back; who says that it was restored does.
    assert not book.said("dynamics", 9, name="B").state.links["dynamics"]["dynamics-1"]
    assert book.said("dynamics", 9, "undelete", name="B").state.links["dynamics"]["dynamics-1"]
