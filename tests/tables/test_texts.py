"""A text told as a difference is made whole by the register of its record, or the record is to be read."""

from __future__ import annotations

from isthmus.codecs.linked import Linked
from isthmus.config.mapping import load_mappings
from isthmus.simulators.salesforce.differences import unified
from isthmus.tables.fold import fold
from isthmus.tables.golden import Golden
from isthmus.tables.texts import to_be_read, whole

ACCOUNT = load_mappings().entities["account"]
OLD, NEW = "One.\nTwo.", "One.\nThree."


def change(version: str, native: str = "S", differs: tuple[str, str] | None = None, **fields: str) -> Linked:
    told = {} if differs is None else {"website": unified(*differs)}
    return Linked(
        "salesforce", native, "account", "c", "update", fields, (), version, "2026-01-01T00:00:00Z", f"t:{version}",
        "x", False, False, {}, told,
    )  # fmt: skip


def golden(text: str = OLD) -> Golden:
    return fold(None, change("2", website=text), ACCOUNT).state


def test_a_difference_from_what_the_record_says_becomes_the_text_beside_what_else_is_told() -> None:
    found = whole(golden(), change("3", differs=(OLD, NEW), phone="7"))
    assert found is not None
    assert (found.fields, found.text_differences) == ({"phone": "7", "website": NEW}, {})
    assert fold(golden(), found, ACCOUNT).state.values()["website"] == NEW


def test_a_difference_from_another_text_asks_for_a_read() -> None:
    assert whole(golden("One.\nToo."), change("3", differs=(OLD, NEW))) is None


def test_a_difference_in_a_record_or_a_field_of_which_nothing_is_known_asks_for_a_read() -> None:
    assert whole(None, change("3", differs=(OLD, NEW))) is None
    assert whole(golden(), change("3", native="T", differs=(OLD, NEW))) is None
    silent = fold(None, change("2", phone="7"), ACCOUNT).state
    assert whole(silent, change("3", differs=(OLD, NEW))) is None


def test_a_difference_older_than_what_is_known_says_nothing() -> None:
    for version in ("1", "2"):
        found = whole(golden("Newest."), change(version, differs=(OLD, NEW), phone="7"))
        assert found is not None
        assert found.fields == {"phone": "7"}


def test_what_is_to_be_read_goes_back_as_a_gap_that_was_received_before() -> None:
    back = to_be_read(change("3", differs=(OLD, NEW), phone="7"), ACCOUNT)
    told = back.change
    assert (told.operation, told.entity, told.record_id, told.version) == ("gap", "Account", "S", "3")
    assert (told.fields, told.text_differences) == ({}, {})
    assert told.change_id != "t:3"
    assert back.again == "salesforce/account"
