"""Customers that exist on both sides before the first sync, and what people say of who is who."""

from __future__ import annotations

import uuid

import pytest
from partitions import Partitions
from test_convergence import balanced, change

from isthmus.codecs.change import Value
from isthmus.codecs.identities import Ask, Decision, Load, question_id
from isthmus.codecs.linked import Linked
from isthmus.codecs.reviews import Review
from isthmus.config.mapping import EntityMapping, Mappings, load_mappings
from isthmus.node.match import words
from isthmus.tables.golden import Golden
from isthmus.tables.matching import Entry, plan
from isthmus.tables.reviews import REVIEWS
from isthmus.tables.xref import XREF

MATCH = {"keys": [["account_number"]], "fuzzy": {"name": 3, "phone": 2}}


@pytest.fixture(scope="module")
def mappings() -> Mappings:
    found = load_mappings()
    told = found.entities["account"].model_dump(by_alias=True, exclude_none=True)
    account = EntityMapping.model_validate({**told, "match": MATCH})
    return Mappings({**found.entities, "account": account}.values())


def row(system: str, native: str, **fields: Value) -> Linked:
    version = "0000001" if system == "dynamics" else ""
    return Linked(
        system, native, "account", "", "update", fields, (), version, "", f"{native}@scan", "match", None, True
    )


def entry(system: str, native: str, **fields: Value) -> Entry:
    return Entry(native, fields, None, row(system, native, **fields))


def name(number: int) -> str:
    return uuid.uuid5(uuid.NAMESPACE_DNS, str(number)).hex


def golden_of(world: Partitions, system: str, native: str) -> Golden:
    return world.golden()[XREF.decode(world.rows("xref")[f"{system}:{native}".encode()]).canonical]


def reviews(world: Partitions) -> list[Review]:
    return [REVIEWS.decode(raw) for raw in world.rows("reviews").values()]


@pytest.mark.parametrize("seed", range(3))
async def test_of_200_customers_on_both_sides_of_whom_150_are_the_same_none_is_created_twice(
    mappings: Mappings, seed: int
) -> None:
    left = [entry("salesforce", f"S{n}", name=name(n), account_number=f"A-{n}", phone=None) for n in range(200)]
    right = [
        entry("dynamics", f"D{n}", name=f"{name(n).upper()} Inc", account_number=f"a-{n}", credit_limit=n)
        for n in range(50, 250)
    ]
    found = plan(mappings.entities["account"], left, right)
    assert (len(found.sure), len(found.asked), len(found.left), len(found.right)) == (150, 0, 50, 50)
    world = Partitions(mappings, seed)
    world.say(*words(found, mappings.entities["account"]))
    await world.run([])
    streams = [[change("salesforce", f"S{n}", 2, {"website": f"w{n}"})] for n in range(0, 200, 20)]
    await world.run(streams)
    assert world.letters == []
    assert len(world.golden()) == 250
    made = {name: set(system.made) for name, system in world.systems.items()}
    assert {name: len(some) for name, some in made.items()} == {"salesforce": 50, "dynamics": 50}
    both = golden_of(world, "salesforce", "S60")
    assert both.links == {"salesforce": {"S60": True}, "dynamics": {"D60": True}}
    assert both.values() == {
        "name": name(60),
        "account_number": "A-60",
        "credit_limit": 60,
        "website": "w60",
    }
    assert balanced(world)


async def test_doing_it_again_does_no_harm(mappings: Mappings) -> None:
    pair = Load((row("salesforce", "S1", name="Alder"), row("dynamics", "D1", name="ALDER")), (None, None))
    world = Partitions(mappings, 1)
    world.say(pair)
    await world.run([])
    before = golden_of(world, "salesforce", "S1")
    world.say(pair)
    await world.run([])
    assert golden_of(world, "dynamics", "D1") == before
    assert balanced(world)


def ask(name: str = "Alder") -> Ask:
    rows = (row("salesforce", "S1", name=name), row("dynamics", "D1", name="Alder Works"))
    id_ = question_id("account", ("salesforce", "S1"), ("dynamics", "D1"))
    return Ask(rows, (None, None), Review(id_, "match", "account", "", score=0.8))


def decision(action: str, *records: tuple[str, str], order: str = "o1") -> Decision:
    return Decision(order, action, "account", records, "ann", "2026-01-02T00:00:00Z")  # type: ignore[arg-type]


PAIR = (("salesforce", "S1"), ("dynamics", "D1"))


@pytest.mark.parametrize("seed", range(3))
async def test_of_a_likely_pair_nothing_becomes_until_a_person_links_it(mappings: Mappings, seed: int) -> None:
    world = Partitions(mappings, seed)
    world.say(ask())
    await world.run([[]])
    await world.run([[change("salesforce", "S1", 2, {"phone": "1"})]])
    assert world.golden() == {}
    assert [(one.kind, one.closed) for one in reviews(world)] == [("match", False)]
    assert world.counts["salesforce/account"]["parked"] == 1
    world.say(decision("link", *PAIR))
    await world.run([])
    (one,) = world.golden().values()
    assert one.links == {"salesforce": {"S1": True}, "dynamics": {"D1": True}}
    assert (one.values()["name"], one.values()["phone"]) == ("Alder", "1")
    assert [system.made for system in world.systems.values()] == [[], []]
    assert [(one.closed, [(deed.verb, deed.by) for deed in one.decided]) for one in reviews(world)] == [
        (True, [("link", "ann")])
    ]
    assert world.counts["salesforce/account"]["parked"] == 0
    assert balanced(world)


async def test_a_pair_that_is_apart_becomes_two_customers_and_stays_so(mappings: Mappings) -> None:
    world = Partitions(mappings, 1)
    world.say(ask(), decision("apart", *PAIR))
    await world.run([])
    assert len(world.golden()) == 2
    number = {"account_number": "A-1"}
    await world.run([[change("salesforce", "S1", 2, {**number})], [change("dynamics", "D1", 3, {**number})]])
    assert len(world.golden()) == 2
    world.say(ask())
    await world.run([])
    assert [one.closed for one in reviews(world)] == [True]  # it is not asked again
    world.say(decision("link", *PAIR))  # unless somebody thinks better of it
    await world.run([])
    assert len(world.golden()) == 1
    assert balanced(world)


async def test_a_record_that_is_unmerged_leaves_with_what_it_said_and_is_not_linked_again(mappings: Mappings) -> None:
    world = Partitions(mappings, 1)
    number = {"account_number": "A-1"}
    told = [
        change("salesforce", "S1", 1, {"name": "Alder", **number}),
        change("dynamics", "D1", 1, {"phone": "2", **number}),
    ]
    await world.run([told[:1]])
    await world.run([told[1:]])
    assert golden_of(world, "salesforce", "S1").canonical == golden_of(world, "dynamics", "D1").canonical
    world.say(decision("unmerge", ("dynamics", "D1")))
    await world.run([])
    left, gone = golden_of(world, "salesforce", "S1"), golden_of(world, "dynamics", "D1")
    assert left.canonical != gone.canonical
    assert set(left.links.get("salesforce", {})) == {"S1"}
    assert "D1" not in left.links.get("dynamics", {})
    assert (gone.values()["phone"], gone.values()["account_number"]) == ("2", "A-1")
    await world.run([[change("dynamics", "D1", 5, {"name": "Birch", **number})]])
    assert golden_of(world, "dynamics", "D1").values()["name"] == "Birch"
    assert golden_of(world, "salesforce", "S1").values()["name"] == "Alder"
    assert (world.letters, balanced(world)) == ([], True)


async def test_an_order_about_a_record_nobody_knows_is_a_dead_letter(mappings: Mappings) -> None:
    world = Partitions(mappings, 1)
    world.say(decision("unmerge", ("dynamics", "D9")), decision("link", ("dynamics", "D9"), ("salesforce", "S9")))
    await world.run([])
    assert [b"nobody knows dynamics:D9" in letter for letter in world.letters] == [True, True]
