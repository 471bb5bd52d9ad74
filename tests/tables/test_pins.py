"""A steward's pin comes first, joins by its time, and taken back leaves what would have been."""

from __future__ import annotations

from itertools import permutations
from typing import Any, Literal

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from isthmus.codecs.events import Source
from isthmus.codecs.frames import encode
from isthmus.codecs.linked import Absorb, Decide, Folding, Linked, Report
from isthmus.codecs.reviews import Review
from isthmus.config.mapping import load_mappings
from isthmus.tables.fold import fold
from isthmus.tables.folded import Folded
from isthmus.tables.golden import Golden

ACCOUNT = load_mappings().entities["account"]
NATIVE = {"salesforce": "001S", "dynamics": "d-1"}


def said(system: str, minute: int, **fields: Any) -> Linked:
    """A system says this at that minute."""
    at, id = f"2026-01-01T00:{minute:02}:00Z", f"{system}@{minute}"
    return Linked(system, NATIVE[system], "account", "c-1", "update", fields, (), f"{minute:04}", at, id, id)


def decided(
    action: Literal["pin", "release", "undo"], minute: int, field: str, value: Any = None, why: str = ""
) -> Decide:
    """Ada decides at that minute."""
    return Decide("c-1", "account", field, action, f"o-{minute}", "Ada", f"2026-01-01T00:{minute:02}:30Z", value, why)


def folded(*items: Folding) -> Folded:
    """What the last of them came to."""
    state: Golden | None = None
    for item in items:
        last = fold(state, item, ACCOUNT)
        state = last.state
    return last


def test_a_pin_counts_before_every_system_and_outlives_newer_changes() -> None:
    last = folded(
        said("salesforce", 1, name="Alder"), decided("pin", 2, "name", "Birch"), said("salesforce", 3, name="Cedar")
    )
    assert last.state.values()["name"] == "Birch"
    assert dict(last.state.whys())["name"].rule == "pin by Ada"


def test_a_pin_is_told_to_every_system_and_to_the_world() -> None:
    last = folded(
        said("salesforce", 1, name="Alder"), said("dynamics", 1, name="Alder"), decided("pin", 2, "name", "Birch")
    )
    assert {(one.system, one.fields["name"]) for one in last.writes} == {("salesforce", "Birch"), ("dynamics", "Birch")}
    assert last.event is not None
    assert (last.event.kind, last.event.body.changed["name"].rule) == ("updated", "pin by Ada")
    assert last.event.body.cause.system == "steward"
    assert last.outcome == "applied"


def test_a_pin_gives_a_record_no_life() -> None:
    gone = said("salesforce", 3)
    dead = Linked(*[*(getattr(gone, name) for name in gone.__struct_fields__[:4]), "delete", {}, (), "9", "", "x", "x"])
    last = folded(said("salesforce", 1, name="Alder"), decided("pin", 2, "name", "Birch"), dead)
    assert not last.state.is_alive()


def test_a_pin_holds_its_field_alone_and_the_rest_of_a_group_moves_on() -> None:
    first = said("dynamics", 1, billing_city="Ulm", billing_street="Quay 1", billing_country="DE")
    last = folded(first, decided("pin", 2, "billing_city", "Lyon"), said("dynamics", 3, billing_street="Quay 9"))
    values = last.state.values()
    assert (values["billing_city"], values["billing_street"], values["billing_country"]) == ("Lyon", "Quay 9", "DE")


def test_a_pin_that_is_taken_back_leaves_what_systems_say_by_then() -> None:
    pinned = (
        said("salesforce", 1, name="Alder"),
        decided("pin", 2, "name", "Birch"),
        said("salesforce", 3, name="Cedar"),
    )
    for action in ("release", "undo"):
        last = folded(*pinned, decided(action, 4, "name"))  # type: ignore[arg-type]
        assert last.state.values()["name"] == "Cedar"
        assert dict(last.state.whys())["name"].rule == "precedence salesforce > dynamics"


def test_an_undo_gives_back_what_our_own_write_has_replaced() -> None:
    wrote = Report("salesforce", "001S", "c-1", "account", 3, "written", "0002", {"name": "Birch"})
    pinned = (said("salesforce", 1, name="Alder"), decided("pin", 2, "name", "Birch"), wrote)
    assert folded(*pinned, decided("release", 4, "name")).state.values()["name"] == "Birch"
    last = folded(*pinned, decided("undo", 4, "name"))
    assert last.state.values()["name"] == "Alder"
    assert ("salesforce", "Alder") in {(one.system, one.fields["name"]) for one in last.writes}


def test_an_undo_gives_back_what_was_typed_beneath_the_pin_and_replaced_by_our_write() -> None:
    items = (
        said("salesforce", 1, name="Alder"),
        decided("pin", 2, "name", "Birch"),
        said("salesforce", 3, name="Cedar"),
        Report("salesforce", "001S", "c-1", "account", 4, "written", "0004", {"name": "Birch"}),
    )
    assert folded(*items, decided("undo", 5, "name")).state.values()["name"] == "Cedar"


def test_a_decision_that_comes_twice_counts_once() -> None:
    pin, undo = decided("pin", 2, "name", "Birch"), decided("undo", 4, "name")
    start = said("salesforce", 1, name="Alder")
    once, twice = folded(start, pin, undo), folded(start, pin, pin, undo, pin, undo)
    assert once.state.values() == twice.state.values()
    assert twice.outcome == "unchanged"


def test_the_reason_of_the_newest_decision_about_a_field_is_kept_and_no_other() -> None:
    start = said("salesforce", 1, name="Alder", phone="1")
    pins = (decided("pin", 2, "name", "Birch", "she called"), decided("pin", 3, "name", "Cedar", "she wrote"))
    beside = decided("pin", 2, "phone", "2", "her card")
    for some in permutations((*pins, replace(beside, order="o-beside"))):
        assert sorted(folded(start, *some).state.reasons.values()) == ["her card", "she wrote"]
    last = folded(start, *pins, decided("release", 4, "name"))
    assert last.state.reasons == {}


def test_the_reason_goes_along_where_the_golden_record_becomes_another() -> None:
    loser = folded(said("salesforce", 1, name="Alder"), decided("pin", 2, "name", "Birch", "she called")).state
    cause = Source("dynamics", "d-1", "2026-01-01T00:03:00Z", "dynamics@3")
    joined = Absorb("c-0", "c-1", "account", "x", cause, Raw(encode(loser)))
    winner = fold(Golden("c-0", "account"), joined, ACCOUNT).state
    seen = winner.seen("name")
    assert seen is not None
    assert (seen.value, winner.reasons[seen.change_id]) == ("Birch", "she called")


def test_an_undo_gives_back_what_was_before_the_pin_where_the_golden_record_became_another() -> None:
    wrote = Report("salesforce", "001S", "c-1", "account", 2, "written", "0003", {"name": "Birch"})
    loser = folded(said("salesforce", 1, name="Alder"), decided("pin", 2, "name", "Birch"), wrote).state
    cause = Source("dynamics", "d-1", "2026-01-01T00:03:00Z", "dynamics@3")
    joined = Absorb("c-0", "c-1", "account", "x", cause, Raw(encode(loser)))
    winner = fold(Golden("c-0", "account"), joined, ACCOUNT).state
    assert fold(winner, replace(decided("undo", 4, "name"), canonical="c-0"), ACCOUNT).state.values()["name"] == "Alder"


def test_a_decision_settles_the_conflict_about_its_field() -> None:
    last = folded(said("salesforce", 1, name="Alder"), decided("pin", 2, "name", "Birch"))
    assert last.reviews == (Review("conflict/c-1/name", "conflict", "account", "c-1", closed=True),)


# Everybody says something else: what repeats what we have told a system would be our echo.
MINUTES = st.integers(1, 59)
ITEMS = st.lists(
    st.one_of(
        st.builds(
            lambda system, at: said(system, at, phone=f"{system} {at}"), st.sampled_from(sorted(NATIVE)), MINUTES
        ),
        st.builds(lambda at: decided("pin", at, "phone", f"pin {at}"), MINUTES),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda item: (item.system, getattr(item, "version", "") or getattr(item, "at", "")),
)


@given(ITEMS)
def test_the_order_of_arrival_does_not_matter_and_the_newest_pin_counts(items: list[Folding]) -> None:
    pins = sorted((item for item in items if isinstance(item, Decide)), key=lambda item: item.at)
    ends = {folded(*some).state.values()["phone"] for some in permutations(items)}
    assert len(ends) == 1
    if pins:
        assert ends == {pins[-1].value}


@given(ITEMS)
def test_what_is_released_is_as_if_it_had_never_been_pinned(items: list[Folding]) -> None:
    said_by_systems = [item for item in items if isinstance(item, Linked)]
    if not said_by_systems:
        return
    late = Decide("c-1", "account", "phone", "undo", "o-last", "Ada", "2026-01-02T00:00:00Z")
    assert folded(*items, late).state.values()["phone"] == folded(*said_by_systems).state.values()["phone"]
