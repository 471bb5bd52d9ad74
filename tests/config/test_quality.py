"""Quality rules that cannot be judged are refused when the mapping is read, by file, entity and rule."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isthmus.config.errors import ConfigError
from isthmus.config.mapping import load_mappings

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
        ("stewards: {tasks: lead, subject: '{who}'}", "may name {entity} and {rule}"),
    ],
)
def test_a_rule_that_cannot_be_judged_is_refused_by_file_and_entity(tmp_path: Path, more: str, words: str) -> None:
    (tmp_path / "lead.yaml").write_text(LEAD.format(more=more))
    with pytest.raises(ConfigError, match=r"lead\.yaml: entity lead") as caught:
        load_mappings(tmp_path)
    assert re.search(re.escape(words), str(caught.value))
