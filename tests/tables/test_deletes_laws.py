"""Laws of deletes, over generated lives: whatever the interleaving, both systems end as the policy says, and are quiet."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policies import by_policy
from two_lives import Lives

from isthmus.codecs.linked import Linked
from isthmus.config.mapping import EntityMapping, load_mappings
from isthmus.tables.deletes import living, over
from isthmus.tables.fold import fold
from isthmus.tables.golden import Golden

ACCOUNT = load_mappings().entities["account"]
POLICIES = ("keep", "deactivate", "delete", "unlink")


def policy(name: str) -> EntityMapping:
    return by_policy(ACCOUNT, {"from": ["salesforce"], "dynamics": name})


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=250, deadline=None)
@given(seed=st.integers(0, 2**32), acts=st.integers(0, 10))
def test_both_systems_end_as_the_policy_says_whatever_the_interleaving(name: str, seed: int, acts: int) -> None:
    lives = Lives(seed, acts, policy(name))
    lives.run()
    there = lives.living("dynamics")
    assert lives.asked <= 6 + 6 * acts  # a loop would never end
    if not lives.living("salesforce"):
        assert_ended(name, lives)
        return
    assert len(there) == 1, "revived twice, or not at all"
    assert there[0].active
    assert there[0].linked
    assert lives.golden is not None
    golden = lives.golden.values()
    for system in ("salesforce", "dynamics"):
        (row,) = lives.living(system)
        assert {name: row.values.get(name) for name in golden} == golden


def assert_ended(name: str, lives: Lives) -> None:
    """Salesforce's record is gone: nothing is made anew, and what is left in Dynamics is as its policy says."""
    there = lives.living("dynamics")
    assert len(there) <= 1
    for row in there:
        assert name != "delete"
        assert row.active == (name != "deactivate")
        assert row.linked == (name != "unlink")


BOTH = by_policy(ACCOUNT, {"from": ["salesforce", "dynamics"], "salesforce": "delete", "dynamics": "delete"})


@settings(max_examples=600, deadline=None)
@given(seed=st.integers(0, 2**32), acts=st.integers(0, 12))
def test_where_both_count_the_record_is_in_both_or_in_none(seed: int, acts: int) -> None:
    in_both_or_in_none(seed, acts)


@pytest.mark.parametrize("seed", [81, 285, 321, 368, 3450, 3008797, 1954545216, 2851156070, 3608966184, 1478507925])
def test_the_record_is_in_both_or_in_none_where_it_once_was_not(seed: int) -> None:
    for acts in range(17):
        in_both_or_in_none(seed, acts)


def in_both_or_in_none(seed: int, acts: int) -> None:
    """Plays it."""
    lives = Lives(seed, acts, BOTH, both=True)
    lives.run()
    assert lives.golden is not None
    assert lives.asked <= 6 + 6 * acts
    there = 0 if over(lives.golden, BOTH.followed) else 1
    assert [len(lives.living(system)) for system in ("salesforce", "dynamics")] == [there, there]


LIFE = st.lists(
    st.tuples(
        st.sampled_from(["salesforce", "dynamics"]),
        st.sampled_from(["delete", "undelete", "update"]),
        st.integers(0, 30),
    ),
    max_size=8,
)


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=250, deadline=None)
@given(wanted=LIFE, both=st.booleans(), chance=st.randoms(use_true_random=False))
def test_the_order_in_which_ends_and_returns_are_heard_does_not_matter(
    name: str, wanted: list[tuple[str, str, int]], both: bool, chance: random.Random
) -> None:
    mapping = by_policy(ACCOUNT, {"from": ["salesforce", "dynamics"] if both else ["salesforce"], "dynamics": name})
    changes = [told(number, *one) for number, one in enumerate(wanted)]
    changes = [told(-2, "salesforce", "create", 0), told(-1, "dynamics", "create", 0), *changes]
    shuffled = [*changes, *chance.sample(changes, len(changes) // 2)]
    chance.shuffle(shuffled)
    one, other = heard(changes, mapping), heard(shuffled, mapping)
    assert one.living == {system: other.living[system] for system in one.living}
    followed = mapping.followed
    assert (over(one, followed), living(one, followed)) == (over(other, followed), living(other, followed))


def told(number: int, system: str, operation: str, when: int) -> Linked:
    return Linked(
        system=system,
        native_id=f"{system}-1",
        entity="account",
        canonical="c1",
        operation=operation,  # type: ignore[arg-type]
        fields={"name": f"n{number}"} if operation != "delete" else {},
        cleared=(),
        version=f"{number + 2:020d}",
        changed_at=f"2026-01-01T00:00:{when:02d}Z",
        change_id=f"{system}{number}",
        correlation="c",
        tagged=False,
    )


def heard(changes: list[Linked], mapping: EntityMapping) -> Golden:
    golden: Golden | None = None
    for change in changes:
        golden = fold(golden, change, mapping).state
    assert golden is not None
    return golden
