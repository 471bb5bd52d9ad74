"""Mappings are data: what is wrong is said by file and place, and a third entity needs no Python."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from oracle import Memory

from isthmus.agents import identify, intake, merge
from isthmus.codecs.arrival import Arrival
from isthmus.codecs.change import Change
from isthmus.config.errors import ConfigError
from isthmus.config.mapping import load_mappings
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
