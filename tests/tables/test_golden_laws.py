"""Laws of the merge, over generated histories."""

from __future__ import annotations

import random
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from two_systems import VALUES, World

from isthmus.codecs.frames import encode
from isthmus.codecs.linked import Linked
from isthmus.config.mapping import load_mappings
from isthmus.tables.fold import fold
from isthmus.tables.folded import Folded
from isthmus.tables.golden import GOLDEN, Golden
from isthmus.tables.precedence import choose
from isthmus.tables.registers import Held, Said

ACCOUNT = load_mappings().entities["account"]


@settings(max_examples=600, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 12))
def test_both_systems_end_equal_to_the_golden_record_whatever_the_interleaving(seed: int, edits: int) -> None:
    world = World(seed, edits)
    world.run()
    assert world.disagreements() == []


@pytest.mark.parametrize(
    "seed", [370, 1005, 2327, 4767, 4824, 5728, 14332, 15208, 16798, 26874, 50895, 68255, 84155, 95313]
)
def test_both_systems_end_equal_where_they_once_did_not(seed: int) -> None:
    for edits in range(13):
        world = World(seed, edits)
        world.run()
        assert world.disagreements() == []


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_when_people_stop_so_do_the_writes(seed: int) -> None:
    world = World(seed, 10)
    world.run()
    assert world.asked <= 80  # 10 edits, two systems, refused ones asked again; a loop would never end


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_of_two_edits_at_once_the_newer_one_counts_where_the_target_takes_a_condition(seed: int) -> None:
    world = World(seed, 0)
    world.run()
    world.edited_at_once("phone", "4", "5", newer="dynamics")
    assert world.disagreements() == []
    assert world.golden is not None
    assert world.golden.value("phone") == "5"


def change(system: str, version: int, values: dict[str, object], when: int, record: int = 1) -> Linked:
    return Linked(
        system=system,
        native_id=f"{system}-{record}",
        entity="account",
        canonical="c1",
        operation="update",
        fields={name: value for name, value in values.items() if value is not None},  # type: ignore[misc]
        cleared=tuple(name for name, value in values.items() if value is None),
        version=f"{version:020d}",
        changed_at=f"2026-01-01T00:00:{when:02d}Z",
        change_id=f"{system}{version}",
        correlation="c",
        tagged=False,
    )


SYSTEMS = st.sampled_from(["salesforce", "dynamics"])
PATCH = st.dictionaries(st.sampled_from(sorted(VALUES)), st.sampled_from(["v1", "v2", None]), min_size=1, max_size=3)
CHANGES = st.lists(st.tuples(SYSTEMS, PATCH, st.integers(0, 59)), min_size=1, max_size=8)


def registers(changes: list[Linked]) -> dict[str, dict[str, Held]]:
    golden: Golden | None = None
    for one in changes:
        if golden is not None:
            golden.intents.clear()  # nothing is written here, so nothing can be an echo
        golden = fold(golden, one, ACCOUNT).state
    assert golden is not None
    return golden.registers


def said(registers: dict[str, dict[str, Held]]) -> dict[str, dict[str, list[Said]]]:
    return {system: {native: held.said for native, held in of.items()} for system, of in registers.items()}


@settings(max_examples=300, deadline=None)
@given(CHANGES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_and_repeats_do_not_matter(
    wanted: list[tuple[str, dict[str, object], int]], chance: random.Random
) -> None:
    changes = [change(system, number, values, when) for number, (system, values, when) in enumerate(wanted)]
    shuffled = [*changes, *chance.sample(changes, len(changes) // 2)]
    chance.shuffle(shuffled)
    one, other = registers(changes), registers(shuffled)
    assert said(one) == said(other)
    for choice in ACCOUNT.choices.values():
        assert list(choose(choice, one)) == list(choose(choice, other))


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(SYSTEMS, PATCH, st.integers(0, 59), st.sampled_from([1, 1, 1, 2])), min_size=1, max_size=10))
def test_what_is_shown_is_always_what_a_choice_among_all_would_be(
    wanted: list[tuple[str, dict[str, object], int, int]],
) -> None:
    golden: Golden | None = None
    for number, (system, values, when, record) in enumerate(wanted):
        golden = fold(golden, change(system, number, values, when, record), ACCOUNT).state
        for choice in ACCOUNT.choices.values():
            for name, of, native_id, register in choose(choice, golden.registers):
                shown = golden.why(name)
                assert shown is not None
                assert (shown.system, shown.native_id, golden.seen(name)) == (of, native_id, register)


def parts(folded: Folded) -> tuple[object, ...]:
    """All that a fold came to, to be compared."""
    return (folded.state, folded.outcome, folded.event, folded.writes, folded.reviews, folded.asides, folded.echoes)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(SYSTEMS, PATCH, st.integers(0, 59), st.sampled_from([1, 1, 1, 2])), min_size=1, max_size=10))
def test_a_change_taken_as_a_whole_comes_to_what_it_does_field_by_field(
    wanted: list[tuple[str, dict[str, object], int, int]],
) -> None:
    whole: Golden | None = None
    each: Golden | None = None
    for number, (system, values, when, record) in enumerate(wanted):
        one = change(system, number, values, when, record)
        first = fold(whole, one, ACCOUNT)
        with patch.object(Held, "is_older", lambda *_: False):
            second = fold(each, one, ACCOUNT)
        assert parts(first) == parts(second)
        whole, each = first.state, second.state


@given(CHANGES)
def test_what_is_stored_is_what_is_read(wanted: list[tuple[str, dict[str, object], int]]) -> None:
    golden: Golden | None = None
    for number, (system, values, when) in enumerate(wanted):
        golden = fold(golden, change(system, number, values, when), ACCOUNT).state
    assert golden is not None
    assert GOLDEN.decode(encode(golden)) == golden


@given(CHANGES)
def test_a_change_that_comes_again_is_unchanged(wanted: list[tuple[str, dict[str, object], int]]) -> None:
    golden: Golden | None = None
    for number, (system, values, when) in enumerate(wanted):
        golden = fold(golden, change(system, number, values, when), ACCOUNT).state
    last = len(wanted) - 1
    again = fold(golden, change(wanted[last][0], last, wanted[last][1], wanted[last][2]), ACCOUNT)
    assert (again.outcome, again.event) == ("unchanged", None)
