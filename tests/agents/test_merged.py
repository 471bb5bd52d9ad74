"""People merge two records in a system: their golden records become one, and the other system hears of it by policy."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from partitions import Partitions
from test_convergence import balanced, change
from test_identities import golden_of, reviews, row

from isthmus.codecs.arrival import Arrival
from isthmus.codecs.change import Change, Value
from isthmus.codecs.identities import Load
from isthmus.config.mapping import EntityMapping, Mappings, load_mappings


def mappings(policy: str) -> Mappings:
    found = load_mappings()
    told = found.entities["account"].model_dump(by_alias=True, exclude_none=True)
    inactive = {"inactive": {"statecode": 1}, "active": {"statecode": 0}}
    told["systems"]["dynamics"] |= {"on_merge": policy, **(inactive if policy == "deactivate" else {})}
    return Mappings({**found.entities, "account": EntityMapping.model_validate(told)}.values())


def deleted(native: str) -> Change:
    return replace(change("salesforce", native, 7, {}), operation="delete")


async def two_customers(policy: str, seed: int = 1) -> Partitions:
    world = Partitions(mappings(policy), seed)
    for number in (1, 2):
        fields: dict[str, Value] = {"account_number": f"A-{number}"}
        rows = (
            row("salesforce", f"S{number}", name=f"S{number}", **fields),
            row("dynamics", f"D{number}", name=f"D{number}", **fields),
        )
        world.say(Load(rows, (None, None)))
    await world.run([])
    assert len(world.golden()) == 2
    return world


@pytest.mark.parametrize("seed", range(4))
async def test_a_salesforce_merge_makes_one_of_both_golden_records_in_whatever_order_it_is_told(seed: int) -> None:
    world = await two_customers("review", seed)
    world.systems["salesforce"].merged["S2"] = "S1"
    await world.run([[deleted("S2")], [change("salesforce", "S1", 8, {"phone": "9"})]])
    (one,) = world.golden().values()
    assert one.links == {"salesforce": {"S1": True, "S2": False}, "dynamics": {"D1": True, "D2": True}}
    assert (one.values()["name"], one.values()["phone"]) == ("S1", "9")
    assert golden_of(world, "dynamics", "D2") == one
    assert [(side.system, side.native_id) for review in reviews(world) for side in review.sides] == [
        ("dynamics", "D1"),
        ("dynamics", "D2"),
    ]
    assert (world.letters, balanced(world), world.counts["salesforce/account"]["parked"]) == ([], True, 0)


async def test_the_second_row_is_made_inactive_where_the_policy_says_so() -> None:
    world = await two_customers("deactivate")
    world.systems["salesforce"].merged["S2"] = "S1"
    await world.run([[deleted("S2")]])
    ends = [one for one in world.systems["dynamics"].written if one.fields.get("statecode") == 1]
    assert [one.record_id for one in ends] == ["D2"]
    assert reviews(world) == []
    assert balanced(world)


async def test_the_second_row_is_merged_into_the_first_where_the_policy_says_so_and_its_echo_is_no_news() -> None:
    world = await two_customers("merge")
    world.systems["salesforce"].merged["S2"] = "S1"
    await world.run([[deleted("S2")]])
    written = world.systems["dynamics"].written
    merges = [one for one in written if one.into is not None]
    assert [(one.record_id, one.into, one.fields) for one in merges] == [("D2", "D1", {})]
    assert reviews(world) == []
    before = len(written), world.golden()
    world.hear(  # Dynamics tells of the merge, and of the row that it made inactive
        "changes.dynamics",
        b"dynamics:D2",
        Arrival(change("dynamics", "D2", 9, {"name": "S2"}), "corr", whole=True, merged_into="D1"),
    )
    await world.run([])
    assert len(written) == before[0]
    assert world.golden().keys() == before[1].keys()
    assert golden_of(world, "dynamics", "D2").values()["name"] == "S1"
    assert (world.letters, balanced(world)) == ([], True)


async def test_a_delete_that_was_no_merge_is_a_delete() -> None:
    world = await two_customers("review")
    await world.run([[deleted("S2")]])
    assert len(world.golden()) == 2
    assert golden_of(world, "dynamics", "D2").links["salesforce"] == {"S2": False}
    assert (balanced(world), world.counts["salesforce/account"]["parked"]) == (True, 0)


async def test_a_dynamics_merge_makes_one_of_both_golden_records_and_a_person_is_asked_to_merge_in_salesforce() -> None:
    world = await two_customers("deactivate")
    told: Any = change("dynamics", "D2", 9, {"name": "D2"})
    world.hear("changes.dynamics", b"dynamics:D2", Arrival(told, "corr", whole=True, merged_into="D1"))
    await world.run([])
    (one,) = world.golden().values()
    assert set(one.links["salesforce"]) == {"S1", "S2"}
    assert [review.sides[1].native_id for review in reviews(world)] == ["S2"]
    assert [write for write in world.systems["dynamics"].written if write.fields.get("statecode") == 1] == []
    assert balanced(world)


async def test_a_merge_into_a_record_nobody_met_keeps_the_golden_record() -> None:
    world = await two_customers("review")
    world.systems["salesforce"].merged["S2"] = "S9"
    before = golden_of(world, "salesforce", "S2").canonical
    await world.run([[deleted("S2")]])
    await world.run([[change("salesforce", "S9", 1, {"name": "Nine"})]])
    assert golden_of(world, "salesforce", "S9").canonical == before
    assert balanced(world)
