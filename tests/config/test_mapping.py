"""Mappings are data: what is wrong is said by file and place, and a third entity needs no Python."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from oracle import Memory
from person import PERSON

from isthmus.agents import identify, intake, merge
from isthmus.codecs.arrival import Arrival
from isthmus.codecs.change import Change
from isthmus.config.errors import ConfigError
from isthmus.config.mapping import EntityMapping, load_mappings
from isthmus.tables.stage import Batch, Stage
from isthmus.tables.unit import Unit

LAST = {"rule": "last_writer"}
LEAD = """
entity: lead
family: lead
match: [[email]]
fields:
  company: {rule: {owner: salesforce}}
  email: {rule: last_writer}
systems:
  salesforce: {object: Lead, external_id: Isthmus_Id__c, fields: {company: Company, email: Email}}
  dynamics:
    object: lead
    collection: leads
    primary_key: leadid
    external_id: isthmus_id
    fields: {company: companyname, email: emailaddress1}
"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"entity": "Account Plus"}, "entity"),
        ({"colour": "red"}, "colour"),
        ({"fields": {"company": {}, "email": LAST}}, "fields.company: give it either a rule or a group"),
        ({"fields": {"company": {"group": "nobody"}, "email": LAST}}, "there is no group 'nobody'"),
        ({"fields": {"company": {"rule": {"owner": "sap"}}, "email": LAST}}, "there is no system 'sap'"),
        ({"match": [["shoe_size"]]}, "no field 'shoe_size'"),
        ({"systems": {"salesforce": {"object": "A", "external_id": "X", "fields": {"x": "X"}}}}, "no such field"),
        ({"groups": {"all": {"owner": "sap"}}}, "groups.all: there is no system 'sap'"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused_by_file_and_place(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    good = yaml.safe_load(LEAD)
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump({**good, **change}))
    with pytest.raises(ConfigError, match=r"bad\.yaml") as caught:
        load_mappings(tmp_path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("column", "fields", "words"),
    [
        ("email: {column: Email, transform: rot13}", "", "systems.salesforce.fields.email.transform"),
        ("email: {column: Email, direction: up}", "", "systems.salesforce.fields.email.direction"),
        ("email: {column: Email, colour: red}", "", "systems.salesforce.fields.email.colour"),
        ("email: {column: Email, transform: {kind: phone, region: Germany}}", "", "email.transform.phone.region"),
        ("email: {column: Email, transform: {kind: date, zone: Europe/Bonn}}", "", "there is no time zone 'Europe/Bonn'"),
        ("email: {column: Email, transform: {kind: state}}", "", "give it a region or a country field"),
        ("email: {column: Email, transform: email}", "", "fields.email: all systems that tell it need the same transform"),
        (
            "size: {column: Size, transform: trim}",
            "size: {type: integer, rule: last_writer}",
            "the transform trim makes string, and fields.size is of type integer",
        ),
        ("size: {column: Size, transform: picklist}", "size: {rule: last_writer}", "needs fields.size.values"),
        (
            "size: {column: Size, transform: {kind: picklist, aliases: {XL: huge}}}",
            "size: {rule: last_writer, values: {big: {salesforce: L}}}",
            "fields.size.values has no 'huge'",
        ),
        (
            "size: {column: Size, transform: picklist}",
            "size: {rule: last_writer, values: {big: {salesforce: L}, huge: {salesforce: L}}}",
            "salesforce 'L' stands for 2 values",
        ),
        (
            "size: Size",
            "size: {rule: last_writer, values: {big: {salesforce: L}}}",
            "systems.salesforce.fields.size has no transform picklist",
        ),
        (
            "size: {column: Size, transform: picklist}",
            "size: {rule: last_writer, values: {big: {salesforce: L, sap: 1}}}",
            "fields.size.values: there is no system 'sap'",
        ),
        (
            "phone: {column: Phone, transform: {kind: phone, country: company}}",
            "phone: {rule: last_writer}",
            "fields.phone.transform.country: company has to be mapped there",
        ),
        ("size: Email", "size: {rule: last_writer}", "two fields share one column, Email"),
        (
            "size: {column: Name, transform: {kind: name_part, part: first}}",
            "size: {rule: last_writer}",
            "Name needs both parts of a name",
        ),
        (
            "a: {column: Name, transform: {kind: name_part, part: last}}\n"
            "      b: {column: Name, transform: {kind: name_part, part: last}}",
            "a: {rule: last_writer}\n  b: {rule: last_writer}",
            "the same part of a name twice",
        ),
        (
            "a: {column: Name, transform: {kind: name_part, part: last}}\n"
            "      b: {column: Name, direction: in, transform: {kind: name_part, part: first}}",
            "a: {rule: last_writer}\n  b: {rule: last_writer}",
            "need the same form and direction",
        ),
        ("company: {column: Company, direction: out}", "", "fields.company: salesforce decides, but does not tell it"),
        ("email: {column: Isthmus_Id__c}", "", "Isthmus_Id__c holds our id"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_work_is_refused_by_file_entity_and_field(
    tmp_path: Path, column: str, fields: str, words: str
) -> None:
    (tmp_path / "bad.yaml").write_text(mapped(column, fields))
    with pytest.raises(ConfigError, match=r"bad\.yaml: entity lead: ") as caught:
        load_mappings(tmp_path)
    assert words in str(caught.value)


def mapped(column: str, fields: str = "") -> str:
    """The mapping of leads with a column in Salesforce, which takes another's place, and with these fields."""
    good = yaml.safe_load(LEAD)
    good["fields"] |= yaml.safe_load("  " + (fields or "{}"))
    good["systems"]["salesforce"]["fields"] |= yaml.safe_load("      " + column)
    return yaml.safe_dump(good)


def test_a_match_on_what_nobody_tells_is_refused(tmp_path: Path) -> None:
    text = LEAD.replace("email: Email}", "email: {column: Email, direction: out}}")
    text = text.replace("email: emailaddress1}", "email: {column: emailaddress1, direction: out}}")
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ConfigError, match="match: no system tells us 'email'"):
        load_mappings(tmp_path)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(LEAD.replace("{owner: salesforce}", "{owner: sap}").replace("[email]", "[shoe]"))
    with pytest.raises(ConfigError, match=r"no field 'shoe'.*no system 'sap'"):
        load_mappings(tmp_path)


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(LEAD.replace("family: lead\n", "family: lead\nfamily: other\n"))
    with pytest.raises(ConfigError, match="'family' stands twice"):
        load_mappings(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("", "", "entity lead"), ("entity: lead", "entity: prospect", "salesforce Lead")],
)
def test_two_files_may_not_map_the_same(tmp_path: Path, old: str, new: str, words: str) -> None:
    (tmp_path / "a.yaml").write_text(LEAD)
    (tmp_path / "b.yaml").write_text(LEAD.replace(old, new) if old else LEAD)
    with pytest.raises(ConfigError, match=f"b.yaml: {words} is mapped in a.yaml already"):
        load_mappings(tmp_path)


def test_a_direction_says_what_is_read_and_what_is_written() -> None:
    one = PERSON.systems["salesforce"]
    assert "Score__c" in one.columns
    assert "Score__c" not in one.written
    assert "Note__c" in one.written
    assert "Note__c" not in one.columns
    assert PERSON.systems["dynamics"].columns.count("fullname") == 1


def test_the_example_in_the_documentation_works() -> None:
    text = (Path(__file__).parents[2] / "docs" / "mappings.md").read_text()
    example = text.split("```yaml\n")[1].split("```")[0]
    assert (
        EntityMapping.model_validate(yaml.safe_load(example)).systems["salesforce"].fields["first_name"] == "FirstName"
    )


def test_a_file_that_is_no_yaml_and_a_folder_without_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no entity files"):
        load_mappings(tmp_path)
    (tmp_path / "bad.yaml").write_text("entity: [")
    with pytest.raises(ConfigError, match="not YAML"):
        load_mappings(tmp_path)


def run(stage: Stage, topic: str, elements: list[object]) -> Unit:
    """One unit of a stage over empty tables."""
    unit = Unit({table.name: Memory() for table in stage.tables})
    stage.fold(unit, [Batch(topic, elements)])
    return unit


def sent(unit: Unit, topic: str) -> list[object]:
    """What a unit put on a topic."""
    return unit.frames[topic, 0]


def test_a_third_entity_is_one_file_and_goes_the_whole_way(tmp_path: Path) -> None:
    (tmp_path / "lead.yaml").write_text(LEAD)
    mappings = load_mappings(tmp_path)
    told = {"Company": "Alder", "Email": "a@b.example"}
    change = Change("salesforce", "Lead", "00Q1", "create", told, (), "1", "2026", "t", None, "c")
    taken = run(intake.stage(["salesforce"], mappings, {}), "changes.salesforce", [Arrival(change, "t")])
    linked = run(identify.stage(mappings), "identify", sent(taken, "identify"))
    merged = run(merge.stage(mappings), "merge", sent(linked, "merge"))
    assert [record.topic for record in merged.records] == ["events.lead"]
    (write,) = sent(merged, "writes.dynamics")
    assert write.fields == {"company": "Alder", "email": "a@b.example"}  # type: ignore[attr-defined]


def test_a_node_that_talks_to_one_system_intends_nothing_for_the_other() -> None:
    mappings = load_mappings().joining(["salesforce"])
    change = Change("salesforce", "Account", "001A", "create", {"Name": "Alder"}, (), "1", "2026", "t", None, "c")
    taken = run(intake.stage(["salesforce"], mappings, {}), "changes.salesforce", [Arrival(change, "t")])
    linked = run(identify.stage(mappings), "identify", sent(taken, "identify"))
    merged = run(merge.stage(mappings), "merge", sent(linked, "merge"))
    assert [record.topic for record in merged.records] == ["events.account"]
    assert merged.frames == {}


ORDER = """
entity: order
family: order
fields: {currency: {type: string, rule: last_writer}}
systems:
  operations:
    object: SalesOrderHeaderV2Entity
    collection: SalesOrderHeadersV2
    primary_key: dataAreaId, SalesOrderNumber
    external_id: CustomersOrderReference
    fields: {currency: CurrencyCode}
    events: {OrderMovedBusinessEvent: {dataAreaId: LegalEntity, SalesOrderNumber: OrderId}}
"""


def test_an_object_of_operations_is_mapped_by_its_composite_key(tmp_path: Path) -> None:
    (tmp_path / "order.yaml").write_text(ORDER)
    mapping = load_mappings(tmp_path).objects("operations")["SalesOrderHeaderV2Entity"]
    assert mapping.key_columns == ("dataAreaId", "SalesOrderNumber")
    assert mapping.columns == ("CurrencyCode", "CustomersOrderReference")


def test_an_event_that_does_not_name_the_whole_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "order.yaml").write_text(ORDER.replace("dataAreaId: LegalEntity, ", ""))
    with pytest.raises(ConfigError, match="OrderMovedBusinessEvent: name exactly the key columns"):
        load_mappings(tmp_path)


DYNAMICS_STATES = {"inactive": {"statecode": 1}, "active": {"statecode": 0}}


@pytest.mark.parametrize(
    ("deletes", "dynamics", "place"),
    [
        ({"from": ["sap"]}, {}, "deletes.from: there is no system 'sap'"),
        (None, {"on_delete": "delete"}, "on_delete: nobody's deletes count"),
        ({"from": ["salesforce"]}, {"on_delete": "deactivate"}, "on_delete: deactivate needs"),
        ({"from": ["salesforce"]}, {"inactive": {"statecode": 1}}, "active: name the columns"),
        ({"from": ["salesforce"]}, {"inactive": {"a": 1}, "active": {"a": 1}}, "it is the same as"),
        ({"from": ["salesforce"]}, {"inactive": {"name": "x"}, "active": {"name": "y"}}, "name is mapped already"),
    ],
)
def test_a_delete_policy_that_cannot_work_is_refused(
    deletes: dict[str, Any] | None, dynamics: dict[str, Any], place: str
) -> None:
    told = load_mappings().entities["account"].model_dump(by_alias=True, exclude_unset=True)
    told["deletes"] = deletes
    told["systems"]["dynamics"] |= dynamics
    with pytest.raises(ValueError, match=re.escape(place)):
        EntityMapping.model_validate(told)


@pytest.mark.parametrize(
    ("system", "object", "fits"),
    [("dynamics", "account", True), ("dynamics", "quote", False), ("salesforce", "Account", False)],
)
def test_only_a_platform_that_can_merge_is_asked_to(system: str, object: str, fits: bool) -> None:
    told = load_mappings().entities["account"].model_dump(by_alias=True, exclude_unset=True)
    told["systems"][system] |= {"on_merge": "merge", "object": object}
    if fits:
        assert EntityMapping.model_validate(told).systems[system].on_merge == "merge"
        return
    with pytest.raises(ValueError, match=f"systems.{system}.on_merge: only Dynamics can merge"):
        EntityMapping.model_validate(told)


def test_a_delete_policy_is_read() -> None:
    told = load_mappings().entities["account"].model_dump(by_alias=True, exclude_unset=True)
    told["deletes"] = {"from": ["salesforce"]}
    told["systems"]["dynamics"] |= {"on_delete": "deactivate", **DYNAMICS_STATES}
    entity = EntityMapping.model_validate(told)
    assert entity.deletes is not None
    assert entity.deletes.of == ("salesforce",)
    assert entity.systems["dynamics"].on_delete == "deactivate"


ACCOUNTS = """
entity: company
family: customer
fields:
  name: {rule: last_writer}
systems:
  salesforce: {object: Account, external_id: X__c, fields: {name: Name}}
"""
PEOPLE = """
entity: person
family: customer
match: [[name]]
groups: {all: last_writer}
fields:
  name: {rule: last_writer}
  company: {type: reference, to: company, rule: last_writer}
systems:
  salesforce: {object: Contact, external_id: X__c, fields: {name: LastName, company: AccountId}}
  dynamics:
    object: contact
    external_id: x
    fields: {name: lastname}
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("to: company, ", "", "fields.company: a field of type reference, and no other, has the entity it points at"),
        ("type: reference, ", "", "fields.company: a field of type reference, and no other"),
        ("to: company", "to: firm", "fields.company.to: there is no entity 'firm'"),
        ("rule: last_writer}\nsys", "group: all}\nsys", "fields.company: a reference has a rule of its own"),
        ("[[name]]", "[[name], [company]]", "match: company is a reference"),
        ("{name: lastname}", "{name: lastname, company: parent}", "fields.company: company is not mapped there"),
        ("name: {rule", "name: {required: true, rule", "fields.name.required: only a reference may be"),
        ("name: LastName", "name: {column: LastName, bind: x}", "fields.name.bind: fields.name is no reference"),
        (
            "company: AccountId",
            "company: {column: AccountId, transform: trim}",
            "and fields.company is of type reference",
        ),
    ],
)
def test_a_reference_that_cannot_work_is_refused_by_its_place(tmp_path: Path, old: str, new: str, words: str) -> None:
    (tmp_path / "company.yaml").write_text(ACCOUNTS)
    (tmp_path / "person.yaml").write_text(PEOPLE)
    assert load_mappings(tmp_path).referred == {"company"}
    assert old in PEOPLE
    (tmp_path / "person.yaml").write_text(PEOPLE.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_mappings(tmp_path)
    assert words in str(caught.value)


def test_a_copy_of_a_mapping_follows_what_was_changed_in_it() -> None:
    account = load_mappings().entities["account"]
    assert account.followed.systems.keys() == {"salesforce", "dynamics"}
    alone = account.model_copy(update={"systems": {"dynamics": account.systems["dynamics"]}, "conflict_seconds": 5.0})
    assert alone.followed.systems.keys() == alone.led.keys() == {"dynamics"}
    assert alone.followed.conflict_seconds == 5.0
    system = account.systems["salesforce"]
    assert system.followed.on_delete != "delete"
    assert system.model_copy(update={"on_delete": "delete"}).followed.on_delete == "delete"
