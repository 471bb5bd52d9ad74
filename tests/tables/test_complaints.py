"""What users of products of this kind complain of, where merge has to do better (all: docs/complaints.md)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from isthmus.codecs.change import Value
from isthmus.codecs.frames import encode
from isthmus.codecs.linked import Decide, Linked, Report
from isthmus.config.mapping import EntityMapping, load_mappings
from isthmus.tables.fold import fold
from isthmus.tables.folded import Folded
from isthmus.tables.golden import GOLDEN, DesiredWrite, Golden

ACCOUNT = load_mappings().entities["account"]
NATIVE = {"salesforce": "001S", "dynamics": "d-1"}
ENOUGH = 40


class Customer:
    """A golden record that lives in both systems; what merge wants written stands in `writes` until it is `written`."""

    def __init__(self, mapping: EntityMapping = ACCOUNT) -> None:
        self.mapping = mapping
        self.golden: Golden | None = None
        self.version = 0
        self.writes: list[DesiredWrite] = []
        self.rows: dict[str, dict[str, Value]] = {"salesforce": {}, "dynamics": {}}

    def said(self, system: str, at: int, *, tagged: bool | None = None, row: bool = False, **fields: Value) -> Folded:
        """A system says this, at that second by its own clock."""
        self.version += 1
        self.rows[system] |= fields
        when, id = f"2026-01-01T00:{at // 60:02d}:{at % 60:02d}Z", f"{system}@{self.version}"
        by_us = tagged if tagged is not None or system == "dynamics" else False
        told = {name: value for name, value in fields.items() if value is not None}
        cleared = tuple(name for name, value in fields.items() if value is None)
        version = f"{self.version:020d}"
        return self._fold(
            Linked(system, NATIVE[system], "account", "c", "update", told, cleared, version, when, id, id, by_us, row)
        )

    def written(self) -> list[DesiredWrite]:
        """The newest wish of each system is carried out, reported, and comes back as an echo; what it was."""
        done, self.writes = list({one.system: one for one in self.writes}.values()), []
        for one in done:
            self.version += 1
            version = f"{self.version:020d}" if one.system == "dynamics" else None
            self._fold(
                Report(one.system, NATIVE[one.system], "c", "account", one.revision, "written", version, one.fields)
            )
            self._comes_back(one)
        return done

    def _comes_back(self, write: DesiredWrite) -> None:
        """Salesforce tells what has changed, by our name; of Dynamics the row is read."""
        row = self.rows[write.system]
        changed = {name: value for name, value in write.fields.items() if row.get(name) != value}
        if write.system == "dynamics":
            self.said("dynamics", 3000, row=True, **{**row, **write.fields})
        elif changed:
            self.said("salesforce", 3000, tagged=True, **changed)

    def calm(self) -> int:
        """Until nothing more is wanted; how many writes that took."""
        number = 0
        while self.writes:
            number += len(self.written())
            assert number < ENOUGH, "it goes round"
        return number

    def pinned(self, field: str, value: Value) -> None:
        """A steward decides."""
        self._fold(Decide("c", "account", field, "pin", "o", "Ada", "2026-01-01T00:30:00Z", value))

    def _fold(self, item: Any) -> Folded:
        before = None if self.golden is None else GOLDEN.decode(encode(self.golden))
        folded = fold(before, item, self.mapping)
        self.golden = folded.state
        self.writes += folded.writes
        return folded

    def value(self, field: str) -> Value:
        """The golden value."""
        assert self.golden is not None
        return self.golden.values().get(field)


def known(mapping: EntityMapping = ACCOUNT) -> Customer:
    """A customer of both systems, at rest."""
    found = Customer(mapping)
    found.said("salesforce", 0, name="Alder", phone="1", website="a.example")
    found.said("dynamics", 0, name="Alder", phone="1", website="a.example", credit_limit="5")
    found.calm()
    return found


def fields(writes: Iterable[DesiredWrite]) -> list[tuple[str, dict[str, Value]]]:
    """What is wanted where."""
    return [(one.system, dict(one.fields)) for one in writes]


@pytest.mark.parametrize("first", ["salesforce", "dynamics"])
def test_two_desks_that_change_different_fields_of_a_record_at_once_both_keep_what_they_typed(first: str) -> None:
    one = known()
    steps = [lambda: one.said("salesforce", 10, website="b.example"), lambda: one.said("dynamics", 10, phone="2")]
    for step in steps if first == "salesforce" else reversed(steps):
        step()
    assert (one.value("website"), one.value("phone")) == ("b.example", "2")
    wanted = {("dynamics", "website", "b.example"), ("salesforce", "phone", "2")}
    assert {(system, *item) for system, told in fields(one.writes) for item in told.items()} == wanted


def test_a_newer_row_takes_back_no_field_that_nobody_changed_there() -> None:
    one = known()
    one.said("salesforce", 10, phone="2")  # not yet written to Dynamics when its row is read for another change
    one.said("dynamics", 20, row=True, name="Alder", phone="1", website="a.example", credit_limit="9")
    one.calm()
    assert (one.value("phone"), one.value("credit_limit")) == ("2", "9")


def test_a_value_that_is_changed_in_quick_succession_does_not_flip_back() -> None:
    one = known()
    wanted: list[DesiredWrite] = []
    for second, phone in enumerate(("2", "3", "4"), 10):
        one.said("salesforce", second, phone=phone)
    wanted, one.writes = one.writes, []
    for write in wanted:  # deliver made each of them, and Dynamics tells of each, late
        one.said("dynamics", 13, phone=write.fields["phone"])
    assert fields(one.writes) == []
    assert one.value("phone") == "4"


@pytest.mark.parametrize("apart", [-600, -1, 0, 1, 600])
def test_clocks_that_are_apart_or_equal_decide_the_same_in_any_order_and_nothing_flips(apart: int) -> None:
    ends = []
    for order in ((0, 1), (1, 0)):
        one = known()
        edits = [("salesforce", 700, "2"), ("dynamics", 700 + apart, "3")]
        for place in order:
            system, at, phone = edits[place]
            one.said(system, at, phone=phone)
        assert one.calm() <= 4
        ends.append(one.value("phone"))
    assert ends[0] == ends[1] == ("3" if apart > 0 else "2")


def test_what_an_automation_makes_of_our_write_under_our_own_name_is_a_change() -> None:
    one = known()
    one.said("dynamics", 10, phone="030 1")
    (write,) = one.writes
    one.writes.clear()
    assert fields([write]) == [("salesforce", {"phone": "030 1"})]
    one.said("salesforce", 11, tagged=True, phone="+49 30 1")  # a flow in the same save
    assert one.value("phone") == "+49 30 1"
    assert ("dynamics", {"phone": "+49 30 1"}) in fields(one.writes)
    assert one.calm() <= 2
    assert one.value("phone") == "+49 30 1"


def test_a_person_who_types_what_we_wrote_before_is_heard() -> None:
    one = known()
    one.said("dynamics", 10, phone="2")
    one.calm()
    one.said("salesforce", 20, phone="3")
    one.calm()
    one.said("salesforce", 30, phone="2")  # A, B, and A again
    assert one.value("phone") == "2"
    assert fields(one.writes) == [("dynamics", {"phone": "2"})]


def test_an_echo_is_known_once_and_the_same_value_after_it_is_an_opinion() -> None:
    one = known()
    one.said("dynamics", 10, phone="2")
    one.calm()
    one.said("dynamics", 20, phone="3")
    one.calm()
    one.said("salesforce", 3001, phone="2")
    assert one.value("phone") == "2"


# Who decides: the rule, which of the two was said later, and what becomes of it.
RULES: list[tuple[Any, str, str]] = [
    ({"owner": "salesforce"}, "salesforce", "S"),
    ({"owner": "salesforce"}, "dynamics", "S"),
    ({"owner": "dynamics"}, "salesforce", "D"),
    ({"owner": "dynamics"}, "dynamics", "D"),
    ({"precedence": ["salesforce", "dynamics"]}, "salesforce", "S"),
    ({"precedence": ["salesforce", "dynamics"]}, "dynamics", "S"),
    ({"precedence": ["dynamics", "salesforce"]}, "salesforce", "D"),
    ({"precedence": ["dynamics", "salesforce"]}, "dynamics", "D"),
    ("last_writer", "salesforce", "S"),
    ("last_writer", "dynamics", "D"),
]


def by(rule: Any) -> EntityMapping:
    """The account with this rule for its name."""
    told = ACCOUNT.model_dump(mode="json", by_alias=True, exclude_none=True)
    told["fields"]["name"]["rule"] = rule
    return EntityMapping.model_validate(told)


@pytest.mark.parametrize("heard_last", ["salesforce", "dynamics"])
@pytest.mark.parametrize(("rule", "later", "counts"), RULES)
def test_each_rule_decides_as_it_says_and_a_pin_before_it(rule: Any, later: str, counts: str, heard_last: str) -> None:
    one = Customer(by(rule))
    for system in sorted(NATIVE, key=lambda name: name == heard_last):
        one.said(system, 20 if system == later else 10, name=system[0].upper())
    assert one.value("name") == counts
    one.pinned("name", "P")
    assert one.value("name") == "P"


@pytest.mark.parametrize(
    ("rule", "then"),
    [
        ({"owner": "salesforce"}, "S"),  # who is not asked has no say, and takes nothing away
        ({"precedence": ["dynamics", "salesforce"]}, "S"),  # the weaker counts where the stronger says nothing
        ("last_writer", "S"),
    ],
)
def test_who_says_nothing_of_a_field_decides_nothing(rule: Any, then: str) -> None:
    one = Customer(by(rule))
    one.said("salesforce", 10, name="S")
    one.said("dynamics", 20, phone="2")
    assert one.value("name") == then
