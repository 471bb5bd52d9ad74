"""Who a native record is."""

from __future__ import annotations

from isthmus.config.mapping import load_mappings
from isthmus.tables.identity import Claim, Linking, canonical_id, link

ACCOUNT = load_mappings().entities["account"]


def keep(known: dict[bytes, Claim], decided: Linking) -> None:
    known.update(decided.keys)


def test_a_record_met_first_gets_an_id_that_follows_from_its_native_id() -> None:
    decided = link({}.get, ACCOUNT, "salesforce", "001A", {}, None)
    assert decided.canonical == canonical_id("salesforce", "001A")


def test_a_record_that_carries_a_canonical_id_belongs_to_it() -> None:
    assert link({}.get, ACCOUNT, "dynamics", "g1", {}, "c-7").canonical == "c-7"


def test_equal_match_keys_make_one_customer_whatever_their_case_and_blanks() -> None:
    known: dict[bytes, Claim] = {}
    keep(known, link(known.get, ACCOUNT, "salesforce", "001A", {"account_number": "AB-1"}, None))
    second = link(known.get, ACCOUNT, "dynamics", "g1", {"account_number": " ab-1 "}, None)
    assert second.canonical == canonical_id("salesforce", "001A")


def test_an_absent_match_key_matches_nobody() -> None:
    known: dict[bytes, Claim] = {}
    keep(known, link(known.get, ACCOUNT, "salesforce", "001A", {"account_number": ""}, None))
    second = link(known.get, ACCOUNT, "dynamics", "g1", {"account_number": None}, None)
    assert second.canonical != canonical_id("salesforce", "001A")


def test_a_record_once_linked_stays_what_it_is() -> None:
    known: dict[bytes, Claim] = {}
    keep(known, link(known.get, ACCOUNT, "salesforce", "001A", {}, None))
    again = link(known.get, ACCOUNT, "salesforce", "001A", {"account_number": "9"}, "another")
    assert again.canonical == canonical_id("salesforce", "001A")


def test_two_records_of_one_system_that_share_a_match_key_are_two_customers() -> None:
    known: dict[bytes, Claim] = {}
    keep(known, link(known.get, ACCOUNT, "salesforce", "001A", {"account_number": "9"}, None))
    second = link(known.get, ACCOUNT, "salesforce", "001B", {"account_number": "9"}, None)
    keep(known, second)
    assert second.canonical == canonical_id("salesforce", "001B")
    third = link(known.get, ACCOUNT, "dynamics", "g1", {"account_number": "9"}, None)
    assert third.canonical == canonical_id("salesforce", "001A")
    keep(known, third)
    assert link(known.get, ACCOUNT, "dynamics", "g2", {"account_number": "9"}, None).canonical != third.canonical
