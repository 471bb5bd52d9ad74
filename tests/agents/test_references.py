"""References: the id of another system's record becomes a golden record's, whatever arrives first."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from desk import Desk, items, sent
from hypothesis import given, settings
from hypothesis import strategies as st
from test_deliver import LATER, Target, desk_of

from isthmus.agents import identify, intake, merge
from isthmus.codecs.arrival import Arrival, Link
from isthmus.codecs.change import Change
from isthmus.codecs.events import Source
from isthmus.codecs.frames import encode
from isthmus.codecs.linked import Tell, Yield
from isthmus.config.errors import MissingReference
from isthmus.config.mapping import EntityMapping, Mappings, load_mappings
from isthmus.systems.protocol import Reference, Write
from isthmus.tables.golden import GOLDEN, DesiredWrite, Golden
from isthmus.tables.identity import canonical_id
from isthmus.tables.references import REFERS
from isthmus.tables.registering import set_one
from isthmus.tables.registers import Register
from isthmus.tables.stage import Batch
from isthmus.tables.xref import XREF

MAPPINGS = load_mappings()
A, B, CHILD = "001A", "001B", "003C"


def told(object: str, record_id: str, version: int, fields: dict[str, Any]) -> Arrival:
    at = f"2026-01-01T00:00:{version:02d}Z"
    cleared = tuple(name for name, value in fields.items() if value is None)
    fields = {name: value for name, value in fields.items() if value is not None}
    id = f"{record_id}@{version}"
    return Arrival(
        Change("salesforce", object, record_id, "update", fields, cleared, f"{version}", at, None, None, id), id
    )


class Way:
    """intake, identify and merge, and what is under way between them, each topic in its own order."""

    def __init__(self, mappings: Mappings = MAPPINGS) -> None:
        stages = (intake.stage(["salesforce", "dynamics"], mappings, {}), identify.stage(mappings))
        self.desks = [Desk(stage) for stage in (*stages, merge.stage(mappings))]
        self.asked: list[Any] = []
        self.waiting: dict[str, list[Any]] = defaultdict(list)

    def topics(self) -> list[str]:
        return sorted(topic for topic, told in self.waiting.items() if told)

    async def step(self, topic: str) -> None:
        one = self.waiting[topic].pop(0)
        (desk,) = [desk for desk in self.desks if topic in desk.stage.topics]
        unit = await desk.work(*items(topic, one))
        self.asked += [one for (out, _), told in unit.frames.items() if out == "reviews" for one in told]
        for (out, _), elements in unit.frames.items():
            if not out.startswith(("writes.", "reviews")):
                self.waiting[out] += elements

    async def take(self, topic: str, *elements: Any) -> None:
        """All of it, and what follows."""
        self.waiting[topic] += elements
        while topics := self.topics():
            await self.step(topics[0])

    def golden(self, native: str) -> Golden:
        known = XREF.decode(self.desks[0].tables["xref"].values[f"salesforce:{native}".encode()])
        return GOLDEN.decode(self.desks[2].tables["golden"].values[known.canonical.encode()])

    def account(self) -> Any:
        return self.golden(CHILD).values().get("account")


def id_of(native: str) -> str:
    return canonical_id("salesforce", native)


@pytest.fixture
def way() -> Way:
    return Way()


async def test_a_reference_waits_for_the_record_that_it_points_at_and_is_told_with_it(way: Way) -> None:
    await way.take("changes.salesforce", told("Contact", CHILD, 1, {"LastName": "Moss", "AccountId": A}))
    assert way.golden(CHILD).values() == {"last_name": "Moss"}
    await way.take("changes.salesforce", told("Account", A, 1, {"Name": "Alder"}))
    assert way.account() == id_of(A)
    assert way.desks[2].counts["salesforce/contact"] == {"applied": 1}  # it is no change of its own


async def test_one_that_is_known_is_told_at_once_and_a_null_clears_it(way: Way) -> None:
    await way.take("changes.salesforce", told("Account", A, 1, {"Name": "Alder"}))
    await way.take("changes.salesforce", told("Contact", CHILD, 1, {"AccountId": A}))
    assert way.account() == id_of(A)
    await way.take("changes.salesforce", told("Contact", CHILD, 2, {"AccountId": None}))
    assert way.account() is None


async def test_a_record_of_another_entity_is_not_pointed_at(way: Way) -> None:
    await way.take("changes.salesforce", told("Contact", A, 1, {"LastName": "Moor"}))
    await way.take("changes.salesforce", told("Contact", CHILD, 1, {"LastName": "Moss", "AccountId": A}))
    assert way.account() is None


async def test_when_the_target_becomes_another_golden_record_all_that_point_at_it_are_told(way: Way) -> None:
    await way.take("changes.salesforce", told("Account", A, 1, {"Name": "Alder"}))
    await way.take("changes.salesforce", told("Contact", CHILD, 1, {"AccountId": A}))
    await way.take("links", Link("salesforce", A, "account", "winner"))
    assert way.account() == "winner"
    await way.take("links", Link("salesforce", A, "account", "last"))
    assert way.account() == "last"


async def test_what_a_system_says_because_we_wrote_it_is_no_opinion_under_another_name_either(way: Way) -> None:
    await way.take("changes.salesforce", told("Account", A, 1, {"Name": "Alder"}))
    await way.take("changes.salesforce", told("Contact", CHILD, 1, {"AccountId": A}))
    golden = way.golden(CHILD)
    held = golden.registers["salesforce"][CHILD]
    register = held.get("account")
    assert register is not None
    set_one(held, "account", Register(register.value, register.version, "", "", True))
    way.desks[2].tables["golden"].values[golden.canonical.encode()] = encode(golden)
    await way.take("links", Link("salesforce", A, "account", "winner"))
    register = way.golden(CHILD).registers["salesforce"][CHILD].get("account")
    assert register is not None
    assert (register.value, register.derived) == ("winner", True)


@pytest.mark.parametrize("rule", [False, True])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
async def test_any_interleaving_of_child_target_and_new_links_ends_the_same(rule: bool, data: st.DataObject) -> None:
    way = Way(strict() if rule else MAPPINGS)
    comes = [
        ("changes.salesforce", told("Contact", CHILD, 1, {"LastName": "Moss", "AccountId": B})),
        ("changes.salesforce", told("Contact", CHILD, 2, {"AccountId": A})),
        ("changes.salesforce", told("Account", A, 1, {"Name": "Alder"})),
        ("changes.salesforce", told("Account", B, 1, {"Name": "Birch"})),
    ]
    comes = data.draw(st.permutations(comes))
    moves = [Link("salesforce", A, "account", "winner"), Link("salesforce", A, "account", "last")]
    while comes or moves or way.topics():
        known = f"salesforce:{A}".encode() in way.desks[0].tables["xref"].values
        choices = way.topics() + ["comes"] * bool(comes) + ["moves"] * bool(moves and known)
        choice = data.draw(st.sampled_from(choices))
        if choice == "comes":
            topic, one = comes.pop(0)
            way.waiting[topic].append(one)
        elif choice == "moves":
            way.waiting["links"].append(moves.pop(0))
        else:
            await way.step(choice)
    assert way.account() == "last"
    assert not way.golden(CHILD).rejected
    assert parked(way).keys() <= {"applied", "unchanged"}
    assert REFERS.decode(next(iter(way.desks[0].tables["refers"].values.values()))).native_id == CHILD


# -- the quality rule that a reference exists


def strict() -> Mappings:
    """A contact's account has to be known."""
    told = MAPPINGS.entities["contact"].model_dump(by_alias=True, exclude_unset=True)
    told["quality"] = [*told["quality"], {"name": "account_is_known", "kind": "reference", "field": "account"}]
    return Mappings({**MAPPINGS.entities, "contact": EntityMapping.model_validate(told)}.values())


def parked(way: Way) -> dict[str, int]:
    counts = way.desks[2].counts["salesforce/contact"]
    return {name: number for name, number in counts.items() if number and not name.startswith("echo")}


async def test_with_the_rule_a_record_waits_for_what_it_points_at_and_a_steward_hears_of_it() -> None:
    way = Way(strict())
    await way.take("changes.salesforce", told("Contact", CHILD, 1, {"LastName": "Moss", "AccountId": A}))
    assert way.golden(CHILD).rejected
    assert parked(way) == {"parked": 1}
    assert [one.reasons for one in way.asked] == [
        (f"account_is_known: account '{A}' of salesforce is no account that is known",)
    ]
    await way.take("changes.salesforce", told("Account", A, 1, {"Name": "Alder"}))
    assert (way.account(), way.golden(CHILD).rejected, parked(way)) == (id_of(A), False, {"applied": 1})
    assert way.asked[-1].closed


async def test_with_the_rule_a_known_target_alarms_nobody_and_one_of_another_entity_is_none() -> None:
    way = Way(strict())
    await way.take("changes.salesforce", told("Account", A, 1, {"Name": "Alder"}))
    await way.take("changes.salesforce", told("Contact", CHILD, 1, {"LastName": "Moss", "AccountId": A}))
    assert (way.account(), way.asked, parked(way)) == (id_of(A), [], {"applied": 1})
    await way.take("changes.salesforce", told("Contact", B, 1, {"LastName": "Moor"}))
    await way.take("changes.salesforce", told("Contact", CHILD, 2, {"AccountId": B}))
    assert way.golden(CHILD).rejected
    await way.take("changes.salesforce", told("Contact", CHILD, 3, {"AccountId": None}))
    assert (way.account(), way.golden(CHILD).rejected) == (None, False)


async def test_with_the_rule_what_a_record_points_at_goes_with_it_to_another_golden_record() -> None:
    way = Way(strict())
    await way.take("changes.salesforce", told("Contact", CHILD, 1, {"LastName": "Moss", "AccountId": A}))
    mine = way.golden(CHILD).canonical
    cause = Source("salesforce", CHILD, "2026-01-01T00:00:01Z", "join")
    await way.take("merge", Yield(mine, "winner", "contact", "corr", cause))
    assert way.golden(CHILD).rejected
    await way.take("changes.salesforce", told("Account", A, 1, {"Name": "Alder"}))
    golden = way.golden(CHILD)
    assert (golden.canonical, golden.values()["account"], golden.rejected) == ("winner", id_of(A), False)


# -- outward


async def test_a_record_that_is_to_be_found_is_given_our_id_once_it_is_asked_for(way: Way) -> None:
    await way.take("changes.salesforce", told("Account", A, 1, {"Name": "Alder"}))
    merging, asked = way.desks[2], Tell("salesforce", id_of(A), "account", "corr", found=True)
    unit = await merging.work(*items("merge", asked))
    (write,) = sent(unit, "writes.salesforce")
    assert (write["native_id"], write["fields"], write["revision"]) == (A, {}, 2)
    unit = await merging.work(*items("merge", Tell("dynamics", id_of(A), "account", "corr", found=True)))
    assert sent(unit, "writes.dynamics") == []  # it is not there yet, and its creation is on its way


async def test_a_record_that_breaks_a_rule_is_given_our_id_and_none_of_its_values() -> None:
    way = Way(strict())
    await way.take("changes.salesforce", told("Contact", CHILD, 1, {"LastName": "Moss", "AccountId": A}))
    mine = way.golden(CHILD).canonical
    await way.take("changes.salesforce", told("Contact", B, 1, {"LastName": "Moor", "Title": "Clerk"}))
    cause = Source("salesforce", B, "2026-01-01T00:00:01Z", "join")
    await way.take("merge", Yield(way.golden(B).canonical, mine, "contact", "corr", cause))
    unit = await way.desks[2].work(*items("merge", Tell("salesforce", mine, "contact", "corr", found=True)))
    (write,) = sent(unit, "writes.salesforce")
    assert (write["native_id"], write["fields"]) == (CHILD, {})


def contact(revision: int = 1, native: str | None = None, **fields: Any) -> Any:
    return items("writes.dynamics", DesiredWrite("dynamics", "p", "contact", revision, native, fields, None, "corr"))


async def test_a_reference_is_written_by_the_external_id_of_its_record() -> None:
    desk = desk_of(target := Target())
    await desk.work(*contact(last_name="Moss", account="a"))
    (write,) = target.written
    assert write.fields == {"lastname": "Moss"}
    assert write.references == {"parentcustomerid_account": Reference("account", "a")}
    await desk.work(*contact(2, "d-1", account=None))
    assert (target.written[1].fields["parentcustomerid"], target.written[1].references) == (None, {})


async def test_what_is_not_there_yet_is_left_out_and_written_in_a_second_pass() -> None:
    desk = desk_of(target := Target(answers=[MissingReference("not there")]))
    unit = await desk.work(*contact(last_name="Moss", account="a"))
    assert [bool(write.references) for write in target.written] == [False]
    (tell, report) = sorted(sent(unit, "merge"), key=lambda one: one["kind"], reverse=True)
    assert (tell["canonical"], tell["entity"], tell["found"]) == ("a", "account", True)
    assert report["fields"] == {"last_name": "Moss"}
    unit = await desk.work(Batch("tick", [LATER]))
    (report,) = sent(unit, "merge")
    assert (report["outcome"], report["fields"]) == ("written", {"account": "a"})
    later: Write = target.written[1]
    assert (later.record_id is not None, set(later.fields), len(later.references)) == (True, {"isthmus_id"}, 1)


async def test_a_newer_wish_takes_the_place_of_the_second_pass() -> None:
    desk = desk_of(target := Target(answers=[MissingReference("not there")]))
    await desk.work(*contact(last_name="Moss", account="a"))
    await desk.work(*contact(2, "d-1", account="b"))
    await desk.work(Batch("tick", [LATER]))
    assert [list(one.references.values()) for one in target.written[1:]] == [[Reference("account", "b")]]
