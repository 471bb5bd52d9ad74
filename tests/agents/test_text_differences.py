"""Long texts told as differences, from intake to merge and, where merge knows another text, back to a read."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from desk import Desk, items, sent
from msgspec.structs import replace
from partitions import Answering, Partitions
from person import PEOPLE
from test_convergence import balanced

from isthmus.agents import intake, merge
from isthmus.codecs.arrival import Arrival, Link
from isthmus.codecs.change import Change, Value
from isthmus.codecs.linked import Linked
from isthmus.config.mapping import load_mappings
from isthmus.simulators.salesforce.differences import unified
from isthmus.systems.protocol import Row
from isthmus.tables.golden import GOLDEN

MAPPINGS = load_mappings()
RECORD = "001xx000003DGb1AAG"
OLD, NEW = "One.\r\nTwo.", "One.\r\nThree."
WEBSITE = {"Website": unified(OLD, NEW)}
GAP = Change(
    "salesforce", "Account", RECORD, "gap", {"Phone": "7"}, (), "0002", "2026-01-01T00:00:00Z", "tx", None,
    "sf:2", WEBSITE,
)  # fmt: skip


class Way:
    """Intake and merge, and the ledger of both."""

    def __init__(self) -> None:
        self.intake = Desk(intake.stage(["salesforce"], MAPPINGS, {}))
        self.merge = Desk(merge.stage(MAPPINGS))

    async def arrives(self, change: Change, **more: Any) -> list[Any]:
        """Take a change in; the reads it asks for."""
        unit = await self.intake.work(*items("changes.salesforce", Arrival(change, "tx", **more)))
        asked = sent(unit, "rereads.salesforce")
        linked = msgspec.convert(sent(unit, "merge"), list[Linked])
        unit = await self.merge.work(*items("merge", *linked))
        for back in msgspec.convert(sent(unit, "changes.salesforce"), list[Arrival]):
            asked += await self.arrives(back.change, answers=back.answers, again=back.again)
        return asked

    async def knows(self, text: str) -> None:
        """The record is known, with this text."""
        await self.intake.work(*items("links", Link("salesforce", RECORD, "account", "c-1")))
        first = replace(GAP, operation="update", version="0001", change_id="sf:1", text_differences={})
        await self.arrives(replace(first, fields={"Website": text}))

    @property
    def values(self) -> dict[str, Any]:
        """The golden values."""
        raw = self.merge.tables["golden"].values[b"c-1"]
        return GOLDEN.decode(raw).values()

    @property
    def books(self) -> dict[str, int]:
        """What is not nought in the ledger."""
        found: dict[str, int] = {}
        for desk in (self.intake, self.merge):
            for outcome, number in desk.counts.get("salesforce/account", {}).items():
                found[outcome] = found.get(outcome, 0) + number
        return {outcome: number for outcome, number in found.items() if number}


@pytest.fixture
async def way() -> Way:
    found = Way()
    await found.knows(OLD)
    return found


async def test_a_difference_from_the_known_text_needs_no_read(way: Way) -> None:
    assert await way.arrives(GAP) == []
    assert (way.values["website"], way.values["phone"]) == (NEW, "7")
    assert way.books == {"received": 2, "applied": 2}


async def test_a_difference_from_another_text_is_parked_until_the_record_is_read(way: Way) -> None:
    (ask,) = await way.arrives(replace(GAP, text_differences={"Website": unified("Two.\r\nTwo.", NEW)}))
    assert way.values["website"] == OLD
    assert way.books == {"received": 2, "applied": 1, "parked": 1}
    answer = replace(GAP, operation="update", fields={"Website": NEW}, text_differences={}, change_id="sf:read")
    assert await way.arrives(answer, whole=True, answers=ask["answers"]) == []
    assert way.values["website"] == NEW
    assert way.books == {"received": 3, "applied": 3, "reread": 1}


async def test_a_difference_that_comes_twice_counts_once(way: Way) -> None:
    await way.arrives(GAP)
    await way.arrives(GAP)
    assert way.books == {"received": 3, "applied": 2, "unchanged": 1}


async def test_a_difference_in_a_field_that_nobody_listens_to_needs_no_read(way: Way) -> None:
    assert await way.arrives(replace(GAP, text_differences={"Unmapped__c": "nonsense"})) == []
    assert way.values["phone"] == "7"


@pytest.mark.parametrize("told", [{}, {"Phone": "030 12345678"}])
async def test_a_text_that_is_translated_or_beside_one_that_cannot_be_is_read(told: dict[str, Value]) -> None:
    desk = Desk(intake.stage(["salesforce"], PEOPLE, {}))
    await desk.work(*items("links", Link("salesforce", "003xx", "person", "p-1")))
    differs = {"FirstName" if told else "Industry__c": unified(OLD, NEW)}
    gap = replace(GAP, entity="Contact", record_id="003xx", fields=told, text_differences=differs)
    unit = await desk.work(*items("changes.salesforce", Arrival(gap, "tx")))
    assert [one["answers"] for one in sent(unit, "rereads.salesforce")] == [gap.change_id]
    assert sent(unit, "merge") == []


async def test_what_merge_cannot_hold_is_read_as_ever(way: Way) -> None:
    stranger = replace(GAP, record_id="001xx000003DGb2AAG")
    linking = replace(GAP, text_differences={"AccountNumber": unified(OLD, NEW)}, change_id="sf:3")
    more = replace(GAP, text_differences={}, change_id="sf:4")
    for change in (stranger, linking, more):
        (ask,) = await way.arrives(change)
        assert ask["answers"] == change.change_id


class Kept(Answering):
    """A platform whose reads find one text."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name)
        self.text = text
        self.reads = 0

    async def read(self, object: str, record_ids: Sequence[str]) -> list[Row]:
        """As it is now."""
        self.reads += len(record_ids)
        return [Row(one, True, {"Website": self.text}) for one in record_ids]


@pytest.mark.parametrize("seed", range(12))
async def test_texts_told_as_differences_come_to_the_last_one_whatever_is_late_or_lost(seed: int) -> None:
    chance = random.Random(seed)
    texts = ["\r\n".join(f"{number} {chance.randrange(3)}" for number in range(6)) for _ in range(9)]
    first = replace(GAP, operation="create", fields={"Website": texts[0]}, text_differences={})
    told = [first]
    for number, (old, new) in enumerate(itertools.pairwise(texts), start=2):
        told.append(replace(GAP, version=f"{number:04}", change_id=f"sf:{number}", fields={}))
        told[-1] = replace(told[-1], text_differences={"Website": unified(old, new)})
    lost = [one for one in told[1:-1] if chance.random() < 0.2]
    salesforce = Kept("salesforce", texts[-1])
    world = Partitions(MAPPINGS, seed, systems=[salesforce, Answering("dynamics")])
    heard = [one for one in told if one not in lost for _ in range(1 + (chance.random() < 0.2))]
    early = [heard.pop(chance.randrange(1, len(heard))) for _ in range(2)]
    await world.run([heard, early])
    (golden,) = world.golden().values()
    assert golden.values()["website"] == texts[-1]
    assert (world.letters, balanced(world), world.counts["salesforce/account"].get("parked", 0)) == ([], True, 0)
    assert salesforce.reads < len(heard) + len(early)
