"""Who a native record is."""

from __future__ import annotations

from isthmus.config.mapping import load_mappings
from isthmus.tables.claims import Claim
from isthmus.tables.identity import Linking, canonical_id, link

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


def test_a_record_that_turns_out_to_carry_another_canonical_id_is_that_golden_record_too() -> None:
    known: dict[bytes, Claim] = {}
    keep(known, link(known.get, ACCOUNT, "salesforce", "001A", {}, None))
    keep(known, link(known.get, ACCOUNT, "dynamics", "g1", {}, "another"))
    again = link(known.get, ACCOUNT, "salesforce", "001A", {}, "another")
    assert (again.canonical, again.losers) == (canonical_id("salesforce", "001A"), ("another",))
    keep(known, again)
    assert link(known.get, ACCOUNT, "dynamics", "g1", {}, "another").losers == ()
    assert link(known.get, ACCOUNT, "dynamics", "g2", {}, "another").canonical == again.canonical


def test_a_match_key_that_is_known_late_makes_two_golden_records_one() -> None:
    known: dict[bytes, Claim] = {}
    keep(known, link(known.get, ACCOUNT, "salesforce", "001A", {"account_number": "9"}, None))
    keep(known, link(known.get, ACCOUNT, "dynamics", "g1", {"name": "A"}, None))
    late = link(known.get, ACCOUNT, "dynamics", "g1", {"account_number": "9"}, None)
    assert (late.canonical, late.losers) == (canonical_id("dynamics", "g1"), (canonical_id("salesforce", "001A"),))


def test_a_set_of_match_fields_may_come_piece_by_piece() -> None:
    pieces = ACCOUNT.model_copy(update={"match": (("name", "phone"),)})
    for derived in ("linking", "matching"):
        pieces.__dict__.pop(derived, None)
    known: dict[bytes, Claim] = {}
    keep(known, link(known.get, pieces, "salesforce", "001A", {"name": "A", "phone": "1"}, None))
    keep(known, link(known.get, pieces, "dynamics", "g1", {"name": "a"}, None))
    late = link(known.get, pieces, "dynamics", "g1", {"phone": "1"}, None)
    assert late.losers == (canonical_id("salesforce", "001A"),)


def test_two_records_of_one_system_that_share_a_match_key_are_two_customers() -> None:
    known: dict[bytes, Claim] = {}
    keep(known, link(known.get, ACCOUNT, "salesforce", "001A", {"account_number": "9"}, None))
    second = link(known.get, ACCOUNT, "salesforce", "001B", {"account_number": "9"}, None)
    keep(known, second)
    assert second.canonical == canonical_id("salesforce", "001B")
    third = link(known.get, ACCOUNT, "dynamics", "g1", {"account_number": "9"}, None)
    assert third.canonical == canonical_id("dynamics", "g1")
    keep(known, third)
    assert link(known.get, ACCOUNT, "dynamics", "g2", {"account_number": "9"}, None).canonical != third.canonical


def test_a_match_key_that_was_shared_does_not_part_whom_it_linked_before() -> None:
    known: dict[bytes, Claim] = {}
    for system, native in (("salesforce", "001A"), ("dynamics", "g1"), ("salesforce", "001B")):
        keep(known, link(known.get, ACCOUNT, system, native, {"account_number": "9"}, None))
    told = link(known.get, ACCOUNT, "dynamics", "g1", {"account_number": "9"}, None)
    assert (told.canonical, told.losers) == (canonical_id("salesforce", "001A"), ())


def test_the_rows_made_of_two_customers_that_share_a_number_are_told_apart_by_their_external_ids() -> None:
    known: dict[bytes, Claim] = {}
    ids = []
    for native in ("001A", "001B"):
        decided = link(known.get, ACCOUNT, "salesforce", native, {"account_number": "9"}, None)
        keep(known, decided)
        ids.append(decided.canonical)
    for native, external in zip(("g2", "g1"), reversed(ids), strict=True):
        made = link(known.get, ACCOUNT, "dynamics", native, {"account_number": "9"}, external)
        keep(known, made)
        assert (made.canonical, made.losers) == (external, ())
