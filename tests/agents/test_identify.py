"""identify: who a record is, said once, to intake and to merge."""

from __future__ import annotations

from typing import Any

import pytest
from desk import Desk, items, letters, sent

from isthmus.agents import identify
from isthmus.codecs.arrival import Unlinked
from isthmus.codecs.linked import Linked
from isthmus.config.mapping import load_mappings
from isthmus.tables.identity import canonical_id


@pytest.fixture
def desk() -> Desk:
    return Desk(identify.stage(load_mappings()))


def seen(system: str, native_id: str, *, external: str | None = None, operation: Any = "update", **fields: Any) -> Any:
    linked = Linked(
        system, native_id, "account", "", operation, fields, (), "1", "2026-01-01T00:00:00Z", f"{native_id}@1", "corr"
    )
    return items("identify", Unlinked(linked, external))


async def test_a_new_record_is_its_own_golden_record_and_everybody_is_told(desk: Desk) -> None:
    unit = await desk.work(*seen("salesforce", "001a", name="Alder"))
    expected = canonical_id("salesforce", "001a")
    assert [one["canonical"] for one in sent(unit, "merge")] == [expected]
    link = {"system": "salesforce", "native_id": "001a", "entity": "account", "canonical": expected, "said": {}}
    assert sent(unit, "links") == [link]


async def test_the_other_systems_record_with_the_same_match_key_is_the_same(desk: Desk) -> None:
    await desk.work(*seen("salesforce", "001a", account_number="A-1"))
    unit = await desk.work(
        *seen("dynamics", "g1", account_number=" a-1"), *seen("dynamics", "g2", account_number="A-1")
    )
    mine, other = (one["canonical"] for one in sent(unit, "merge"))
    assert mine == canonical_id("salesforce", "001a")
    assert other == canonical_id("dynamics", "g2")


async def test_a_record_that_says_nothing_new_is_not_written_down_again(desk: Desk) -> None:
    first = await desk.work(*seen("salesforce", "001a", account_number="A-1"))
    again = await desk.work(*seen("salesforce", "001a", account_number="A-1", name="Alder"))
    other = await desk.work(*seen("salesforce", "001a", account_number="A-2"))
    assert [len(unit.puts["identity"]) for unit in (first, again, other)] == [2, 0, 2]
    assert len(sent(again, "merge")) == 1


async def test_an_external_id_counts_more_than_a_match(desk: Desk) -> None:
    await desk.work(*seen("salesforce", "001a", account_number="A-1"))
    unit = await desk.work(*seen("dynamics", "g1", external="c-9", account_number="A-1"))
    mine = canonical_id("salesforce", "001a")
    assert [(one["kind"], one["canonical"]) for one in sent(unit, "merge")] == [("yield", mine), ("change", "c-9")]


async def test_the_end_of_a_record_nobody_met_is_no_news(desk: Desk) -> None:
    unit = await desk.work(*seen("salesforce", "001z", operation="delete"))
    assert (sent(unit, "merge"), sent(unit, "links")) == ([], [])
    assert desk.counts == {"salesforce/account": {"unchanged": 1}}


async def test_the_end_of_a_record_that_says_whose_it_was_is_told(desk: Desk) -> None:
    unit = await desk.work(*seen("dynamics", "g9", operation="delete", external="c-9"))
    assert [one["canonical"] for one in sent(unit, "merge")] == ["c-9"]
    assert [one["native_id"] for one in sent(unit, "links")] == ["g9"]


async def test_what_cannot_be_identified_is_a_dead_letter_and_counted(desk: Desk) -> None:
    unit = await desk.work(*items("identify", {"linked": {"system": "salesforce", "entity": "account"}}))
    assert [letter["stage"] for letter in letters(unit)] == ["identify"]
    assert desk.counts == {"salesforce/account": {"dead": 1}}


async def test_what_a_stranger_wrote_is_a_dead_letter_that_the_books_know_nothing_of(desk: Desk) -> None:
    unit = await desk.work(*items("identify", 1, None, "stranger", {"linked": 5}))
    assert len(letters(unit)) == 4
    assert desk.counts == {}


def test_what_was_matched_before_comes_before_changes() -> None:
    assert identify.stage(load_mappings()).first == ("identities",)
