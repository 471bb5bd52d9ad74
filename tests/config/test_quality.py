"""Quality rules that cannot be judged are refused when the mapping is read, by file, entity and rule."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from isthmus.config.errors import ConfigError
from isthmus.config.mapping import ENTITIES, EntityMapping, Mappings, load_mappings

LEAD = """
entity: lead
family: lead
fields:
  name: {{rule: last_writer}}
systems:
  salesforce: {{object: Lead, external_id: X__c, fields: {{name: Name}}}}
{more}
"""


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("quality: [{name: a, kind: required, fields: [shoe]}]", "quality.a: the entity has no field 'shoe'"),
        ("quality: [{name: a, kind: required, fields: [name], when: {field: shoe}}]", "quality.a: the entity has no"),
        ("quality: [{name: a, kind: range, field: name}]", "give it a min, a max, or both"),
        ("quality: [{name: a, kind: range, field: name, min: soon}]", "soon"),
        ("quality: [{name: a, kind: format, field: name}]", "give it either a pattern or a form"),
        ("quality: [{name: a, kind: format, field: name, pattern: '('}]", "is no regular expression"),
        ("quality: [{name: a, kind: cross_field, field: name, operator: like, other: name}]", "operator"),
        ("quality: [{name: a, kind: reference, field: name}]", "quality.a: name is no reference"),
        ("quality: [{name: a, kind: magic, field: name}]", "magic"),
        (
            "quality: [{name: a, kind: required, fields: [name]}, {name: a, kind: required, fields: [name]}]",
            "2 rules have this name",
        ),
        ("stewards: {tasks: chore}", "stewards: tasks: there is no entity 'chore'"),
        ("stewards: {tasks: lead}", "has quality rules or stewards of its own"),
        ("stewards: {tasks: lead, about: {name: sap}}", "there is no system 'sap'"),
        ("stewards: {tasks: lead, regarding: {name: sap}}", "there is no system 'sap'"),
        ("stewards: {tasks: lead, subject: '{who}'}", "may name {entity} and {rule}"),
    ],
)
def test_a_rule_that_cannot_be_judged_is_refused_by_file_and_entity(tmp_path: Path, more: str, words: str) -> None:
    (tmp_path / "lead.yaml").write_text(LEAD.format(more=more))
    with pytest.raises(ConfigError, match=r"lead\.yaml: entity lead") as caught:
        load_mappings(tmp_path)
    assert re.search(re.escape(words), str(caught.value))


def with_tasks(folder: Path, account: str) -> Mappings:
    shutil.copy(ENTITIES / "optional" / "dynamics" / "task.yaml", folder)
    for name, more in (("account", account), ("contact", "")):
        (folder / f"{name}.yaml").write_text((ENTITIES / f"{name}.yaml").read_text() + more)
    return load_mappings(folder)


def test_the_task_of_dynamics_may_be_about_an_account_or_a_contact(tmp_path: Path) -> None:
    task = with_tasks(tmp_path, "stewards: {tasks: task, regarding: {account: dynamics}}\n").entities["task"]
    assert task.references == {"account": "account", "contact": "contact"}
    assert not task.systems["dynamics"].listened


def test_a_task_regards_records_by_a_reference_to_their_entity(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="regarding: contact of the entity task is no reference to account"):
        with_tasks(tmp_path, "stewards: {tasks: task, regarding: {contact: dynamics}}\n")


def test_a_lookup_that_several_fields_share_is_only_written_and_by_a_property_each() -> None:
    told = yaml.safe_load((ENTITIES / "optional" / "dynamics" / "task.yaml").read_text())
    fields = told["systems"]["dynamics"]["fields"]
    fields["contact"]["bind"] = fields["account"]["bind"]
    with pytest.raises(ValueError, match="two fields share one column, regardingobjectid"):
        EntityMapping.model_validate(told)
    fields["contact"] |= {"bind": "regardingobjectid_contact_task", "direction": "both"}
    with pytest.raises(ValueError, match="two fields share one column, regardingobjectid"):
        EntityMapping.model_validate(told)
