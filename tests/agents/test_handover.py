"""A loser hands over, forwards what still arrives, and takes back what it wished."""

from __future__ import annotations

import pytest
from desk import Desk, items, sent
from test_deliver import LATER, Target, desk_of, wish

from isthmus.agents import intake, merge
from isthmus.codecs.arrival import Arrival, Link
from isthmus.codecs.change import Change
from isthmus.codecs.events import Source
from isthmus.codecs.linked import Linked, Tell, Yield
from isthmus.config.errors import TransientError
from isthmus.config.mapping import load_mappings
from isthmus.tables.golden import DesiredWrite
from isthmus.tables.stage import Batch

CAUSE = Source("salesforce", "S1", "2026-01-01T00:00:00Z", "S1@1")
YIELD = Yield("l", "w", "account", "corr", CAUSE)


def linked(native: str, version: int, name: str) -> Linked:
    at = f"2026-01-01T00:00:{version:02d}Z"
    return Linked(
        "salesforce", native, "account", "l", "update", {"name": name}, (), f"{version}", at, f"{native}@{version}", "c"
    )


@pytest.fixture
def desk() -> Desk:
    return Desk(merge.stage(load_mappings()))


async def test_a_loser_hands_over_before_it_forwards_and_says_where_its_records_belong(desk: Desk) -> None:
    await desk.work(*items("merge", linked("S1", 1, "Alder")))
    unit = await desk.work(*items("merge", YIELD, linked("S1", 2, "Birch"), Tell("dynamics", "l", "account", "c")))
    assert [(one["kind"], one["canonical"]) for one in sent(unit, "merge")] == [
        ("absorb", "w"),
        ("change", "w"),
        ("tell", "w"),
    ]
    assert {(one["native_id"], one["canonical"]) for one in sent(unit, "links")} == {("S1", "w")}
    assert [one["withdrawn"] for one in sent(unit, "writes.dynamics")] == [True]
    assert desk.counts == {  # what was forwarded is counted where it is folded; what takes back intends nothing
        "salesforce/account": {"applied": 1},
        "dynamics/account": {"delivery_intended": 1},
    }


async def test_what_is_taken_back_is_neither_written_nor_parked_any_more() -> None:
    target = Target(answers=[TransientError("busy", code="BUSY")])
    desk = desk_of(target)
    await desk.work(*wish(1))
    back = DesiredWrite("dynamics", "c-1", "account", 3, None, {}, None, "corr", withdrawn=True)
    unit = await desk.work(*wish(2), *items("writes.dynamics", back), *wish(1, "c-2", "g2"))
    assert [(one["kind"], one["canonical"], one.get("rev")) for one in sent(unit, "merge")] == [
        ("settled", "c-1", 3),
        ("report", "c-2", 1),
    ]
    await desk.work(Batch("tick", [LATER]))
    assert [write.external_id for write in target.written] == ["c-2"]
    line = desk.counts["dynamics/account"]
    assert (line["delivery_parked"], line["delivery_superseded"], line["delivery_written"]) == (0, 2, 1)


# -- what a record says of who it is, and says anew


def told(version: int, *, number: str | None = None, external: str | None = None) -> Arrival:
    fields = {"Name": f"n{version}"} | ({"AccountNumber": number} if number else {})
    fields |= {"Isthmus_Id__c": external} if external else {}
    at = f"2026-01-01T00:00:{version:02d}Z"
    change = Change(
        "salesforce", "Account", "001a", "update", fields, (), f"{version}", at, None, None, f"001a@{version}"
    )
    return Arrival(change, "corr")


async def test_only_a_change_that_says_anew_who_the_record_is_goes_by_identify() -> None:
    desk = Desk(intake.stage(["salesforce"], load_mappings(), {}))
    await desk.work(*items("links", Link("salesforce", "001a", "account", "c-1", {"account_number": "A-1"})))
    ways = []
    for arrival in (
        told(1),
        told(2, number="A-1"),
        told(3, number="A-2"),
        told(4, number="A-2"),
        told(5, external="c-9"),
        told(6, number="A-2", external="c-9"),
    ):
        unit = await desk.work(*items("changes.salesforce", arrival))
        ways.append([name for name, _ in unit.frames])
    assert ways == [["merge"], ["merge"], ["identify"], ["merge"], ["identify"], ["merge"]]


async def test_word_of_where_a_record_belongs_does_not_make_intake_forget_what_it_said() -> None:
    desk = Desk(intake.stage(["salesforce"], load_mappings(), {}))
    await desk.work(*items("links", Link("salesforce", "001a", "account", "c-1", {"account_number": "A-1"})))
    await desk.work(*items("links", Link("salesforce", "001a", "account", "c-2")))
    unit = await desk.work(*items("changes.salesforce", told(1, number="A-1")))
    assert [one["canonical"] for one in sent(unit, "merge")] == ["c-2"]
