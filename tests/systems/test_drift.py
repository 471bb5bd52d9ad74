"""Drift: what in a mapping does not fit what the platforms say, each kind alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from isthmus.config.mapping import EntityMapping
from isthmus.systems.describing import Described
from isthmus.systems.drift import Drift, drifts

TEXT = """
entity: lead
family: lead
fields:
  company: {rule: last_writer}
  phone: {rule: last_writer}
  size: {type: integer, rule: last_writer}
  day: {type: date, rule: last_writer}
  rating:
    type: option
    rule: last_writer
    values: {hot: {sf: Hot, dyn: 1}, cold: {sf: Cold, dyn: 2}}
systems:
  sf:
    object: Lead
    external_id: Key__c
    fields:
      company: Company
      phone: {column: Phone, transform: {kind: phone, form: e164}}
      size: Size__c
      day: Day__c
      rating: {column: Rating, transform: picklist}
  dyn:
    object: lead
    external_id: isthmus_id
    fields:
      company: companyname
      phone: {column: telephone1, transform: phone}
      size: employees
      day: day
      rating: {column: rating, transform: picklist}
"""
SF = [
    Described("Key__c", "string", True, length=255),
    Described("Company", "string", True, length=100),
    Described("Phone", "string", True, length=40),
    Described("Size__c", "integer", True),
    Described("Day__c", "date", True),
    Described("Rating", "choice", True, options={"Hot": "Hot", "Cold": "Cold"}),
]
DYN = [
    Described("isthmus_id", "string", True, length=100),
    Described("companyname", "string", True, length=100),
    Described("telephone1", "string", True, length=40),
    Described("employees", "integer", True),
    Described("day", "date", True),
    Described("rating", "option", True, options={"1": "Hot", "2": "Cold"}),
]


def entity(**changed: Any) -> EntityMapping:
    """The mapping with other columns in `sf`."""
    told = yaml.safe_load(TEXT)
    told["systems"]["sf"]["fields"] |= changed
    return EntityMapping.model_validate(told)


def fields(*changed: Described, of: list[Described] = SF, without: str = "") -> Mapping[str, Described]:
    return {one.name: one for one in (*of, *changed) if one.name != without}


def found(mapping: EntityMapping, sf: Mapping[str, Described]) -> list[Drift]:
    return drifts(mapping, {"sf": sf, "dyn": fields(of=DYN)})


def test_what_fits_is_not_told() -> None:
    assert found(entity(), fields()) == []


COMPANY, PHONE, SIZE, DAY, RATING = SF[1:]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (replace(COMPANY, writable=False), "may not be written"),
        (replace(COMPANY, writable=False, made_by="a formula"), "is made by a formula and cannot be written"),
        (replace(COMPANY, readable=False), "may not be read"),
        (replace(COMPANY, kind="integer"), "is integer, and the field is string"),
        (replace(SIZE, kind="string"), "is string, and the field is integer"),
        (replace(DAY, kind="datetime"), "is datetime, and the field is date"),
        (replace(PHONE, kind="integer"), "of which the transform phone can make nothing"),
        (replace(PHONE, length=10), "holds 10 characters, and 16 are written"),
        (replace(RATING, options={"Hot": "Hot"}), "has no option 'Cold', which cold is mapped to"),
        (
            replace(RATING, options={"Hot": "Hot", "Cold": "Cold", "Warm": "Warm"}),
            "has the option 'Warm', which would be refused",
        ),
        (Described("Key__c", "string", True, length=18), "holds 18 characters, and our ids have 36"),
        (Described("Key__c", "integer", True), "is integer and cannot hold our ids"),
    ],
)
def test_each_thing_that_does_not_fit_is_told_by_its_field(changed: Described, words: str) -> None:
    (one,) = [one for one in found(entity(), fields(changed)) if one.wrong]
    assert words in one.message
    assert f"Lead.{changed.name} (" in one.place
    assert (one.system, bool(one.hint)) == ("sf", True)


@pytest.mark.parametrize("name", ["Company", "Key__c"])
def test_a_field_that_is_not_there_is_told(name: str) -> None:
    (one,) = found(entity(), fields(without=name))
    assert one.message == "is missing, or may not be seen"


def test_a_name_in_the_wrong_case_is_met_with_the_right_one() -> None:
    (one,) = found(entity(company="company"), fields())
    assert "is Company meant?" in one.hint


@pytest.mark.parametrize(
    ("column", "changed"),
    [
        ({"company": {"column": "Company", "direction": "in"}}, replace(COMPANY, writable=False, made_by="a formula")),
        ({"company": {"column": "Company", "direction": "out"}}, replace(COMPANY, readable=False)),
        (
            {"day": {"column": "Day__c", "transform": {"kind": "date", "form": "datetime"}}},
            replace(DAY, kind="datetime"),
        ),
        ({"rating": {"column": "Rating", "transform": "picklist"}}, replace(RATING, options=None)),
        (
            {"rating": {"column": "Rating", "transform": {"kind": "picklist", "aliases": {"Warm": "hot"}}}},
            replace(RATING, options={"Hot": "Hot", "Cold": "Cold", "Warm": "Warm"}),
        ),
        (
            {"rating": {"column": "Rating", "direction": "out", "transform": "picklist"}},
            replace(RATING, options={"Hot": "Hot", "Cold": "Cold", "Warm": "Warm"}),
        ),
    ],
)
def test_what_a_direction_or_a_transform_puts_right_is_not_told(column: dict[str, Any], changed: Described) -> None:
    told = {"sf": fields(changed)}
    mapping = _days(column) if "day" in column else entity(**column)
    assert drifts(mapping, told) == []


def _days(column: dict[str, Any]) -> EntityMapping:
    """All systems that tell a field need the same transform."""
    told = yaml.safe_load(TEXT)
    told["systems"]["sf"]["fields"] |= column
    told["systems"]["dyn"]["fields"]["day"] = {"column": "day", "transform": "date"}
    return EntityMapping.model_validate(told)


def test_an_open_picklist_may_lack_what_we_write() -> None:
    (one,) = found(entity(), fields(replace(RATING, options={"Hot": "Hot"}, closed=False)))
    assert (one.wrong, "has no option 'Cold'" in one.message) == (False, True)


def test_a_longer_column_elsewhere_is_a_warning() -> None:
    (one,) = found(entity(), fields(replace(COMPANY, length=255)))
    assert (one.system, one.wrong) == ("dyn", False)
    assert one.message == "holds 100 characters, sf's Company up to 255"


def test_a_value_that_a_system_has_no_word_for_is_a_warning() -> None:
    told = yaml.safe_load(TEXT)
    del told["fields"]["rating"]["values"]["cold"]["sf"]
    told["systems"]["sf"]["fields"]["rating"]["transform"] = {"kind": "picklist", "aliases": {"Cold": "cold"}}
    (one,) = found(EntityMapping.model_validate(told), fields())
    assert (one.wrong, "has nothing for cold" in one.message) == (False, True)


def test_texts_on_one_side_and_numbers_on_the_other_need_a_table() -> None:
    told = yaml.safe_load(TEXT)
    del told["fields"]["rating"]["values"]
    for system, column in (("sf", "Rating"), ("dyn", "rating")):
        told["systems"][system]["fields"]["rating"] = column
    (one,) = found(EntityMapping.model_validate(told), fields())
    assert one.hint == "give both the transform picklist"
