"""The usual change in one go, against what hearing and choosing come to of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.codecs.change import Value
from isthmus.codecs.events import Changed
from isthmus.codecs.frames import encode
from isthmus.codecs.linked import Linked
from isthmus.config.choices import Choice
from isthmus.config.followed import Followed
from isthmus.config.mapping import load_mappings
from isthmus.tables import plain
from isthmus.tables.choosing import look
from isthmus.tables.deletes import hear
from isthmus.tables.fold import fold
from isthmus.tables.golden import GOLDEN, Golden
from isthmus.tables.hearing import learn

ALONE = load_mappings().joining(["salesforce"]).entities["account"]
ADDRESS = ("billing_street", "billing_city", "billing_postal_code", "billing_country")
FIELDS = ("name", "phone", "employees", "credit_limit", "unheard_of", *ADDRESS)
TOGETHER = Choice((*ADDRESS, "phone"), ("dynamics", "salesforce"), "precedence dynamics > salesforce", True)
NAME = Choice(("name",), (None,), "last_writer", False)
FULL: dict[str, Value] = dict.fromkeys(FIELDS, "old")


def later() -> Followed:
    """The mapping in a version that was put in force since: other fields go together, and a name has another rule."""
    now = ALONE.followed
    choices = now.choices | dict.fromkeys(TOGETHER.fields, TOGETHER) | {"name": NAME}
    return replace(now, choices=choices, heard={"salesforce": choices}, led={"salesforce": choices})


def change(
    version: int, values: dict[str, Value], operation: str = "update", record: str = "1", row: bool = False,
    system: str = "salesforce",
) -> Linked:  # fmt: skip
    return Linked(
        system, record, "account", "c", operation,  # type: ignore[arg-type]
        {name: value for name, value in values.items() if value is not None},
        tuple(name for name, value in values.items() if value is None),
        f"{version:020d}", f"2026-01-01T00:00:{version % 60:02d}Z", f"{system}{version}", "c", None, row,
    )  # fmt: skip


def copy(golden: Golden) -> Golden:
    return GOLDEN.decode(encode(golden))


def taken(golden: Golden, one: Linked, followed: Followed = ALONE.followed) -> dict[str, Changed] | None:
    """What it comes to in one go, where it can be done like that; compared with the long way."""
    before, other = encode(golden), copy(golden)
    changed = plain.take(golden, one, followed)
    if changed is None:
        assert encode(golden) == before
        return None
    hear(golden, one)
    heard = learn(other, one)
    assert changed == look(other, followed, one, heard)
    assert (golden, heard.outcome(), heard.layers) == (other, "applied", {})
    return changed


def known(*changes: Linked) -> Golden:
    golden: Golden | None = None
    for one in changes:
        golden = fold(golden, one, ALONE).state
    assert golden is not None
    return golden


VALUE = st.sampled_from(["old", "new", "", None, 5])
OPERATION = st.sampled_from(["update"] * 8 + ["delete", "undelete"])
HISTORY = st.lists(
    st.tuples(
        st.integers(1, 12),
        st.dictionaries(st.sampled_from(FIELDS), VALUE, min_size=0, max_size=5),
        OPERATION,
        st.sampled_from(["1"] * 9 + ["2"]),
        st.sampled_from([False] * 9 + [True]),
        st.sampled_from(["salesforce"] * 12 + ["dynamics"]),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=500, deadline=None)
@given(
    HISTORY,
    st.booleans(),
    st.dictionaries(st.sampled_from(FIELDS), VALUE, max_size=6),
    st.booleans(),
    st.sampled_from([ALONE.followed, later()]),
)
def test_what_is_taken_in_one_go_comes_to_what_it_does_the_long_way(
    history: list[tuple[int, dict[str, Value], str, str, bool, str]],
    full: bool,
    values: dict[str, Value],
    row: bool,
    followed: Followed,
) -> None:
    first = [change(0, FULL)] if full else []
    golden = known(*first, *(change(*one) for one in history))
    taken(golden, change(20, values, row=row), followed)


def test_the_usual_change_is_taken_in_one_go() -> None:
    golden = known(change(1, FULL), change(2, {"name": "newer", "phone": None}))
    changed = taken(golden, change(3, {"name": "newest", "billing_city": "Ulm", "credit_limit": 7, "phone": "old"}))
    assert changed is not None
    assert {name: (one.value, one.previous) for name, one in changed.items()} == {
        "name": ("newest", "newer"), "billing_city": ("Ulm", "old"), "phone": ("old", None),
    }  # fmt: skip
    assert golden.says("salesforce", "1", "credit_limit") is not None


@pytest.mark.parametrize(
    ("before", "one"),
    [
        ([change(1, FULL)], change(1, {"name": "new"})),
        ([change(1, FULL)], change(2, {"name": "new"}, row=True)),
        ([change(1, FULL)], change(2, {})),
        ([change(1, FULL), change(0, {"phone": "x"}, record="2")], change(2, {"name": "new"})),
        ([change(1, FULL), change(2, {"name": "x"}, system="dynamics")], change(3, {"name": "new"})),
        ([change(1, {"name": "old"})], change(2, {"phone": "new"})),
        ([change(1, {"billing_city": "Ulm"})], change(2, {"billing_city": "Bonn"})),
    ],
    ids=["not newer", "a full read", "nothing said", "two records", "two systems", "a field anew", "half an address"],
)
def test_what_is_not_usual_is_left_alone(before: list[Linked], one: Linked) -> None:
    assert taken(known(*before), one) is None


def test_what_was_told_and_may_be_coming_back_is_left_alone() -> None:
    golden = known(change(1, FULL))
    golden.intents["salesforce"] = {"name": [["new", 1, 0, False]]}
    assert taken(golden, change(2, {"name": "new"})) is None
    assert taken(golden, change(2, {"phone": "new"})) is not None


def test_what_another_version_of_the_mapping_chose_is_left_alone() -> None:
    one = change(2, {"name": "new"})
    assert taken(known(change(1, FULL)), one) is not None
    assert taken(known(change(1, FULL)), one, later()) is None


def test_what_its_system_is_not_asked_of_any_more_is_left_alone() -> None:
    now = ALONE.followed
    asked = {name: one for name, one in now.heard["salesforce"].items() if name != "phone"}
    one = change(2, {"phone": "new"})
    assert taken(known(change(1, FULL)), one, replace(now, heard={"salesforce": asked})) is None


def test_what_goes_together_only_since_another_version_is_left_alone() -> None:
    silent = {name: value for name, value in FULL.items() if name != "phone"}
    one = change(2, {"billing_street": "new"})
    assert taken(known(change(1, silent)), one) is not None
    assert taken(known(change(1, silent)), one, later()) is None
