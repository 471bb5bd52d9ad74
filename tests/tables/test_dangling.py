"""Dangling references: the newest word of a record counts, an answer is about one target, and our own writes are none."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.codecs.linked import Linked, Resolved
from isthmus.config.mapping import EntityMapping, load_mappings
from isthmus.tables.dangling import answer, dangling, point
from isthmus.tables.golden import Golden
from isthmus.tables.registers import Register

TOLD = load_mappings().entities["contact"].model_dump(by_alias=True, exclude_unset=True)
RULE = {"name": "account_is_known", "kind": "reference", "field": "account"}
CONTACT = EntityMapping.model_validate(TOLD | {"quality": [RULE]})


def says(number: int, target: str | None, system: str = "salesforce", **more: Any) -> Linked:
    cleared = ("account",) if target is None else ()
    refers = {} if target is None else {"account": target}
    version, when = f"{number:020d}", f"2026-01-01T00:00:{number:02d}Z"
    told = (system, "p", "contact", "c", "update", {}, cleared, version, when, f"{system}{number}", "corr")
    return Linked(*told, refers=refers, **more)


def answered(of: Linked, value: str) -> Resolved:
    told = (of.system, "p", "contact", "c", "account", value, of.version, of.changed_at, of.change_id, "corr")
    return Resolved(*told, target=of.refers["account"])


@pytest.fixture
def golden() -> Golden:
    made = Golden("c", "contact")
    for system in ("salesforce", "dynamics"):
        made.live(system, "p", True, "")
    return made


def at(golden: Golden) -> str | None:
    found = dangling(golden, CONTACT.followed, "account")
    return None if found is None else found.target


def test_an_older_word_that_comes_late_takes_the_place_of_no_newer_one(golden: Golden) -> None:
    point(golden, says(2, "new"), CONTACT)
    point(golden, says(1, "old"), CONTACT)
    assert at(golden) == "new"


def test_an_older_word_says_nothing_where_a_newer_value_is_known(golden: Golden) -> None:
    golden.registers = {"salesforce": {"p": {"account": Register(None, f"{2:020d}", "", "salesforce2", False)}}}
    point(golden, says(1, "old"), CONTACT)
    assert at(golden) is None


def test_an_answer_about_another_target_is_none(golden: Golden) -> None:
    old, new = says(1, "old"), says(2, "new")
    point(golden, old, CONTACT)
    point(golden, new, CONTACT)
    answer(golden, answered(old, "alder"))
    assert at(golden) == "new"
    answer(golden, answered(new, "birch"))
    assert at(golden) is None


def test_a_target_that_is_known_is_not_asked_for_again(golden: Golden) -> None:
    point(golden, says(1, "t"), CONTACT)
    answer(golden, answered(says(1, "t"), "alder"))
    point(golden, says(2, "t"), CONTACT)
    assert at(golden) is None


@pytest.mark.parametrize("way", ["tagged", "on_its_way", "reported"])
def test_what_we_wrote_ourselves_is_no_reference_to_judge(golden: Golden, way: str) -> None:
    if way == "on_its_way":
        golden.intents = {"dynamics": {"account": [["alder", 1, 0, False]]}}
    if way == "reported":
        golden.registers = {"dynamics": {"p": {"account": Register("alder", f"{1:020d}", "", "", True)}}}
    point(golden, says(1, "d-a", "dynamics", tagged=True if way == "tagged" else None), CONTACT)
    assert at(golden) is None


def test_a_record_that_is_gone_points_at_nothing(golden: Golden) -> None:
    point(golden, says(1, "t"), CONTACT)
    golden.live("salesforce", "p", False, "z")
    assert at(golden) is None


def test_the_system_that_is_asked_first_is_judged_first(golden: Golden) -> None:
    point(golden, says(9, "d-x", "dynamics"), CONTACT)
    assert at(golden) == "d-x"
    point(golden, says(1, "001X"), CONTACT)
    assert at(golden) == "001X"
