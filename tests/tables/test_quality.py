"""Quality: which rules a record breaks, and that the world is told exactly what differs, once it is whole."""

from __future__ import annotations

import random
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.codecs.frames import encode
from isthmus.codecs.linked import Linked
from isthmus.config.mapping import EntityMapping, load_mappings
from isthmus.tables.faults import breaks
from isthmus.tables.fold import fold
from isthmus.tables.folded import Folded
from isthmus.tables.golden import GOLDEN, Golden
from isthmus.tables.precedence import same
from isthmus.tables.reevaluation import reevaluate

ACCOUNT = load_mappings().entities["account"]
RULES = """
- {name: named, kind: required, fields: [name]}
- {name: staffed, kind: range, field: employees, min: 0, max: 10}
- {name: reachable, kind: cross_field, field: phone, operator: together, other: website}
"""


def ruled(rules: str, **more: Any) -> EntityMapping:
    """The account, with these rules."""
    return EntityMapping.model_validate(ACCOUNT.model_dump(by_alias=True) | {"quality": yaml.safe_load(rules), **more})


STRICT = ruled(RULES, stewards={"tasks": "task", "about": {"about": "salesforce"}})


def change(number: int, values: dict[str, Any], system: str = "salesforce", operation: Any = "update") -> Linked:
    return Linked(
        system=system,
        native_id=f"{system}-1",
        entity="account",
        canonical="c1",
        operation=operation,
        fields={name: value for name, value in values.items() if value is not None},
        cleared=tuple(name for name, value in values.items() if value is None),
        version=f"{number:020d}",
        changed_at=f"2026-01-01T00:00:{number:02d}Z",
        change_id=f"{system}{number}",
        correlation="c",
        tagged=False,
    )


def play(mapping: EntityMapping, *items: Linked) -> list[Folded]:
    """Each folded after the other, stored in between."""
    golden: Golden | None = None
    found = []
    for item in items:
        found.append(fold(golden, item, mapping))
        golden = GOLDEN.decode(encode(found[-1].state))
    return found


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("kind: format, field: name, form: email", "ann@alder.example", "ann"),
        ("kind: format, field: name, form: phone", "+493012345678", "030 12345678"),
        ("kind: format, field: name, form: country", "DE", "Atlantis"),
        ("kind: format, field: name, pattern: '[A-Z]+'", "AB", "ABc"),
        ("kind: range, field: name, min: 0.5", "0.50", "0.4"),
        ("kind: range, field: name, max: 2026-01-02", "2026-01-02", "2026-01-03"),
        ("kind: range, field: name, max: '2026-01-02T12:00:00Z'", "2026-01-02T13:00:00+02:00", "2026-01-02T13:00:00Z"),
        ("kind: range, field: name, min: 1", "2", "many"),
        ("kind: one_of, field: name, values: [a, b]", "a", "c"),
        ("kind: cross_field, field: name, operator: equal, other: phone", "x", "y"),
        ("kind: cross_field, field: name, operator: not_equal, other: phone", "y", "x"),
    ],
)
def test_a_rule_is_broken_by_what_it_forbids_and_by_nothing_else(rule: str, good: str, bad: str) -> None:
    mapping = ruled(f"[{{name: rule, {rule}}}]")
    for value, broken in ((good, []), (bad, ["rule"]), (None, [])):
        golden = play(ACCOUNT, change(1, {"name": value, "phone": "x"}))[-1].state
        assert [*breaks(golden, mapping, None)] == broken


def test_a_condition_limits_where_a_rule_counts() -> None:
    mapping = ruled("[{name: rule, kind: required, fields: [phone], when: {field: name, is: [a]}}]")
    assert breaks(play(ACCOUNT, change(1, {"name": "b"}))[-1].state, mapping, None) == {}
    assert breaks(play(ACCOUNT, change(1, {"name": "a"}))[-1].state, mapping, None) == {
        "rule": "phone must have a value"
    }


def test_a_rejected_record_tells_nothing_and_its_repair_tells_all() -> None:
    first, bad, worse, good = play(
        STRICT,
        change(1, {"name": "A", "employees": 1}),
        change(2, {"employees": -1, "account_number": "7"}),
        change(3, {"name": "B", "employees": -2}),
        change(4, {"employees": 5}),
    )
    assert first.event is not None
    assert [(one.event, one.writes, one.outcome) for one in (bad, worse)] == [(None, (), "parked")] * 2
    assert good.event is not None
    told = {name: (one.previous, one.value) for name, one in good.event.body.changed.items()}
    assert told == {"employees": (1, 5), "account_number": (None, "7"), "name": ("A", "B")}
    assert dict(good.writes[0].fields) == {"name": "B", "employees": 5, "account_number": "7"}
    assert good.asides is not None
    assert good.asides.repaired == {"salesforce": 2}
    assert good.asides.reviews[0].closed


def test_one_task_a_rule_is_opened_once_and_closed_once() -> None:
    steps = ({"name": "A", "employees": -1}, {"employees": -2}, {"phone": "1"}, {"employees": 1}, {"phone": None})
    found = play(STRICT, *(change(number, values) for number, values in enumerate(steps, 1)))
    told = [
        (number, task.native_id, task.fields["status"], task.fields.get("about"))
        for number, one in enumerate(found, 1)
        for task in (one.asides.tasks if one.asides else ())
    ]
    assert told == [
        (1, "c1/staffed", "open", "salesforce-1"),
        (3, "c1/reachable", "open", "salesforce-1"),
        (4, "c1/staffed", "done", None),
        (5, "c1/reachable", "done", None),
    ]
    assert [one.event is not None for one in found] == [False, False, False, False, True]
    assert found[-1].event is not None
    assert found[-1].event.kind == "created"


def test_a_record_that_lives_nowhere_breaks_no_rule() -> None:
    *_, gone = play(STRICT, change(1, {"employees": -1}), change(2, {}, operation="delete"))
    assert gone.event is not None
    assert (gone.event.kind, gone.state.rejected) == ("deleted", False)


def test_other_rules_in_force_reject_and_release_what_is_there() -> None:
    golden = play(ACCOUNT, change(1, {"name": "A", "employees": 50}))[-1].state
    rejected = reevaluate(golden, STRICT, "v2", "")
    assert (rejected.event, rejected.state.rejected) == (None, True)
    released = reevaluate(rejected.state, ruled("[]"), "v3", "")
    assert (released.event, released.state.rejected) == (None, False)


VALUES: dict[str, list[Any]] = {
    "name": ["a", "b", None],
    "employees": [-1, 1, 2, 99],
    "phone": ["1", "2", None],
    "website": ["w", None],
}
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["salesforce", "dynamics"]),
        st.sampled_from(["update", "update", "update", "delete", "undelete"]),
        st.fixed_dictionaries({}, optional={name: st.sampled_from(some) for name, some in VALUES.items()}),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=400, deadline=None)
@given(EDITS)
def test_what_was_told_in_sum_is_the_golden_record_whenever_it_is_whole(edits: list[Any]) -> None:
    told: dict[str, Any] = {}
    parked = 0
    for one in play(STRICT, *(change(n, values, of, operation) for n, (of, operation, values) in enumerate(edits, 1))):
        parked += one.outcome == "parked"
        parked -= sum(one.asides.repaired.values()) if one.asides else 0
        if one.state.rejected:
            assert (one.event, one.writes) == (None, ())
            continue
        assert parked == 0
        for name, field in one.event.body.changed.items() if one.event else ():
            assert same(told.get(name), field.previous)
            told[name] = field.value
        assert all(same(told.get(name), value) for name, value in one.state.values().items())


@settings(max_examples=200, deadline=None)
@given(EDITS, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter_for_what_is_broken(edits: list[Any], chance: random.Random) -> None:
    changes = [change(n, values, of) for n, (of, _, values) in enumerate(edits, 1)]
    shuffled = chance.sample(changes, len(changes))
    one, other = play(STRICT, *changes)[-1].state, play(STRICT, *shuffled)[-1].state
    assert (one.rejection.broken if one.rejection else {}) == (other.rejection.broken if other.rejection else {})
    if not one.rejected:
        assert one.values() == other.values()


@pytest.mark.parametrize(("system", "regards"), [("salesforce", None), ("dynamics", "c1")])
def test_a_task_regards_the_record_where_that_lives_in_the_tasks_system(system: str, regards: str | None) -> None:
    told = ruled(RULES, stewards={"tasks": "task", "regarding": {"account": "dynamics"}})
    (folded,) = play(told, change(1, {"employees": -1, "name": "Alder"}, system))
    assert folded.asides is not None
    (opened,) = folded.asides.tasks
    assert opened.fields.get("account") == regards
