"""Retelling: newest changes told anew by another mapping, beside what counts now."""

from __future__ import annotations

from typing import Any

import yaml

from isthmus.agents.intake import canonical_change
from isthmus.codecs.arrival import Arrival
from isthmus.codecs.change import Change, Value
from isthmus.codecs.translation import Translation
from isthmus.config.mapping import EntityMapping
from isthmus.tables.fold import fold
from isthmus.tables.golden import Golden
from isthmus.tables.retelling import Retold, retell

TEXT = """
entity: account
family: customer
fields:
  name: {rule: {precedence: [salesforce, dynamics]}}
  phone: {rule: last_writer}
systems:
  salesforce: {object: Account, external_id: Key, fields: {name: Name, phone: Phone}}
  dynamics: {object: account, external_id: key, fields: {name: name, phone: telephone1}}
"""
PHONE = {"column": "Phone", "transform": {"kind": "phone", "region": "DE"}}
TELEPHONE = {"column": "telephone1", "transform": {"kind": "phone", "region": "DE"}}


def mapping(rule: Any = None, **salesforce: Any) -> EntityMapping:
    """The mapping with other columns in Salesforce, and another rule for names."""
    told = yaml.safe_load(TEXT)
    told["systems"]["salesforce"]["fields"] |= salesforce
    if "phone" in salesforce:
        told["systems"]["dynamics"]["fields"]["phone"] = TELEPHONE
    told["fields"]["name"]["rule"] = rule or told["fields"]["name"]["rule"]
    return EntityMapping.model_validate(told)


OLD = mapping()
NATIVE = {"salesforce": "001A", "dynamics": "g1"}
OBJECT = {"salesforce": "Account", "dynamics": "account"}


def change(system: str, number: int, **fields: Value) -> Change:
    at = f"2026-01-01T00:00:0{number}Z"
    return Change(
        system, OBJECT[system], NATIVE[system], "update", fields, (), str(number), at, None, None, f"{system}{number}"
    )


def golden(*changes: Change) -> Golden:
    """What the changes have come to by the old mapping."""
    state: Golden | None = None
    for one in changes:
        state = fold(state, canonical_change(Arrival(one, "t"), OLD, "c-1"), OLD).state
    assert state is not None
    return state


def told(new: EntityMapping, held: Golden, *changes: Change) -> Retold:
    return retell(held, changes, new, {system: Translation(new, system) for system in new.systems})


def shown(retold: Retold) -> list[tuple[str, Value, Value]]:
    return [(one.field, one.before, one.after) for one in retold.differences]


CHANGES = [
    change("salesforce", 1, Name="Alder", Phone="030 12345678"),
    change("dynamics", 2, name="ALDER", telephone1="030 7654321"),
]


def test_by_the_same_mapping_nothing_differs_and_the_record_stays_as_it_was() -> None:
    held = golden(*CHANGES)
    before = held.values()
    assert shown(told(OLD, held, *CHANGES)) == []
    told(mapping(phone=PHONE), held, *CHANGES)
    assert held.values() == before


def test_a_transform_shows_the_values_that_it_makes_others() -> None:
    assert shown(told(mapping(phone=PHONE), golden(*CHANGES), *CHANGES)) == [("phone", "030 7654321", "+49307654321")]


def test_what_was_told_before_counts_as_it_was_taken_in() -> None:
    assert shown(told(mapping(phone=PHONE), golden(*CHANGES), CHANGES[0])) == []


def test_another_rule_shows_whose_value_would_count() -> None:
    (one,) = told(mapping(rule={"precedence": ["dynamics", "salesforce"]}), golden(*CHANGES), *CHANGES).differences
    assert (one.field, one.before, one.after, one.rule) == (
        "name",
        "Alder",
        "ALDER",
        "precedence dynamics > salesforce",
    )


def test_a_system_that_is_no_longer_listened_to_has_no_say() -> None:
    new = mapping(rule="last_writer", name={"column": "Name", "direction": "out"})
    assert shown(told(new, golden(*CHANGES), *CHANGES)) == [("name", "Alder", "ALDER")]


def test_a_field_that_is_mapped_anew_shows_what_the_changes_tell() -> None:
    changes = [change("salesforce", 1, Name="Alder", Fax="5"), change("salesforce", 3, Fax="6")]
    new = yaml.safe_load(TEXT)
    new["fields"]["fax"] = {"rule": "last_writer"}
    new["systems"]["salesforce"]["fields"]["fax"] = "Fax"
    del new["fields"]["phone"]
    for system in new["systems"].values():
        del system["fields"]["phone"]
    entity = EntityMapping.model_validate(new)
    held = golden(change("salesforce", 1, Name="Alder", Phone="1"))
    assert shown(told(entity, held, *changes)) == [("phone", "1", None), ("fax", None, "6")]


def test_a_value_that_would_be_refused_is_told_and_what_counts_stays() -> None:
    broken = change("salesforce", 3, Phone="ask Ann")
    retold = told(mapping(phone=PHONE), golden(*CHANGES, broken), broken)
    assert [(fault.field, fault.value) for fault in retold.refused] == [("phone", "ask Ann")]
    assert shown(retold) == []


def test_an_older_change_does_not_take_the_place_of_a_newer_one() -> None:
    newer = change("salesforce", 3, Phone="030 111222")
    retold = told(mapping(phone=PHONE), golden(*CHANGES, newer), newer, CHANGES[0])
    assert shown(retold) == [("phone", "030 111222", "+4930111222")]
    assert shown(told(mapping(phone=PHONE), golden(*CHANGES, newer), CHANGES[0])) == []
