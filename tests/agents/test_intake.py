"""intake: repeats, gaps, names, routes, and what it cannot understand."""

from __future__ import annotations

from typing import Any

import pytest
from desk import Desk, items, letters, sent
from msgspec.structs import replace

from isthmus.agents import intake
from isthmus.codecs.arrival import Arrival, Link
from isthmus.codecs.change import Change
from isthmus.config.mapping import load_mappings

MAPPINGS = load_mappings()
CHANGE = Change(
    "salesforce", "Account", "001xx000003DGb1AAG", "update", {"Name": "Alder", "Unmapped__c": 1}, ("Phone",),
    "0001", "2026-01-01T00:00:00Z", "tx-1", "com/salesforce/api/soap/60.0;client=isthmus", "sf:1",
)  # fmt: skip


@pytest.fixture
def desk() -> Desk:
    return Desk(intake.stage(["salesforce", "dynamics"], MAPPINGS, {"salesforce": "client=isthmus"}))


def arrived(change: Change = CHANGE, **more: Any) -> Any:
    return items("changes.salesforce", Arrival(change, "tx-1", **more))


async def test_a_change_of_an_unknown_record_goes_to_identify_under_canonical_names(desk: Desk) -> None:
    unit = await desk.work(*arrived())
    (told,) = sent(unit, "identify")
    assert told["linked"]["fields"] == {"name": "Alder"}
    assert told["linked"]["cleared"] == ["phone"]
    assert told["linked"]["tagged"] is True
    assert told["external_id"] is None
    assert desk.counts == {"salesforce/account": {"received": 1}}


async def test_a_change_of_a_known_record_goes_straight_to_merge(desk: Desk) -> None:
    await desk.work(*items("links", Link("salesforce", CHANGE.record_id, "account", "c-1")))
    unit = await desk.work(*arrived())
    assert [one["canonical"] for one in sent(unit, "merge")] == ["c-1"]
    assert sent(unit, "identify") == []


async def test_a_repeat_is_unchanged_and_an_older_change_is_none(desk: Desk) -> None:
    await desk.work(*arrived())
    unit = await desk.work(*arrived(), *arrived(replace(CHANGE, version="0000", change_id="sf:0")))
    assert [one["linked"]["change_id"] for one in sent(unit, "identify")] == ["sf:0"]
    assert desk.counts["salesforce/account"] == {"received": 3, "unchanged": 1}


async def test_a_gap_is_parked_until_its_reread_moves_it(desk: Desk) -> None:
    gap = replace(CHANGE, operation="gap", fields={}, cleared=(), change_id="sf:gap")
    unit = await desk.work(*arrived(gap))
    (ask,) = sent(unit, "rereads.salesforce")
    assert (ask["object"], ask["record_id"], ask["answers"]) == ("Account", CHANGE.record_id, "sf:gap")
    assert desk.counts["salesforce/account"] == {"received": 1, "parked": 1}
    answer = replace(CHANGE, change_id="sf:read")
    unit = await desk.work(*arrived(answer, whole=True, answers="sf:gap"))
    assert len(sent(unit, "identify")) == 1
    assert desk.counts["salesforce/account"] == {"received": 2, "reread": 1, "parked": 0, "applied": 1}
    # A second answer to the same gap moves nothing again.
    await desk.work(*arrived(replace(answer, change_id="sf:read2"), whole=True, answers="sf:gap"))
    assert desk.counts["salesforce/account"] == {"received": 3, "reread": 2, "parked": 0, "applied": 1}


async def test_a_full_read_never_counts_as_tagged(desk: Desk) -> None:
    unit = await desk.work(*arrived(whole=True))
    assert sent(unit, "identify")[0]["linked"].get("tagged") is None


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (Arrival(replace(CHANGE, entity="Shoe"), "tx"), "UNMAPPED"),
        (Arrival(replace(CHANGE, operation="overflow"), "tx"), "OVERFLOW"),
        ({"change": {"system": "salesforce", "entity": "Account"}}, "DECODE"),
        ({}, "DECODE"),
        ({"change": "no object"}, "DECODE"),
        ({"change": {"system": "x" * 5_000_000, "entity": ["y"], "record_id": "z" * 5_000_000}}, "DECODE"),
    ],
)
async def test_what_cannot_be_taken_in_is_a_dead_letter_and_the_next_goes_on(
    desk: Desk, broken: Any, code: str
) -> None:
    unit = await desk.work(*items("changes.salesforce", broken), *arrived(replace(CHANGE, record_id="001b")))
    assert [letter["code"] for letter in letters(unit)] == [code]
    assert len(sent(unit, "identify")) == 1
    assert sum(outcomes.get("dead", 0) for outcomes in desk.counts.values()) == 1
    assert sum(outcomes["received"] for outcomes in desk.counts.values()) == 2
    assert max(len(record.key) + len(record.value) for record in unit.records) < 1_000_000
    assert max(map(len, desk.counts)) < 200


@pytest.mark.parametrize(
    ("origin", "ours"),
    [
        ("com/salesforce/api/rest/60.0;client=isthmus", True),
        ("com/salesforce/api/rest/60.0;client=other", False),
        ("com/salesforce/api/soap/60.0;client=SfdcInternalAPI/", False),
        ("", False),
        ("com/salesforce/api/rest/60.0", None),
    ],
)
async def test_a_program_that_is_not_named_may_be_us(desk: Desk, origin: str, ours: bool | None) -> None:
    unit = await desk.work(*arrived(replace(CHANGE, origin=origin)))
    assert sent(unit, "identify")[0]["linked"].get("tagged") is ours
