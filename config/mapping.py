"""Mappings: which field of which object in which system is which field of which canonical entity, and who decides.

Read from YAML (one file an entity), validated here, frozen afterwards. Promises: a mapping that loads can be run: every
field named by a system exists in the entity, every field has exactly one rule, its own or its group's, and every
transform fits its field (config/soundness.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from isthmus.config.choices import Choice
from isthmus.config.errors import ConfigError
from isthmus.config.followed import Followed, FollowedSystem, OnDelete, followed_rule
from isthmus.config.matching import Matching
from isthmus.config.quality import Exists, QualityRule, Stewards
from isthmus.config.rules import Rule, choice
from isthmus.config.soundness import problems, problems_between
from isthmus.config.transforms import AnyColumn, Declared, NamePart

ENTITIES = Path(__file__).parent / "entities"


class FieldMapping(Declared):
    """A canonical field: its type and the rule that chooses its value."""

    type: Literal["string", "integer", "number", "money", "boolean", "date", "datetime", "option", "reference"] = (
        "string"
    )
    rule: Annotated[Rule | None, Field(description="How the golden value is chosen; leave out in a group.")] = None
    group: str | None = Field(None, description="Fields of one group always come from the same record.")
    to: str | None = Field(None, description="For the type reference: the entity whose records it points at.")
    required: bool = Field(
        False, description="For the type reference: a record is not written anywhere before what it points at is there."
    )
    values: dict[str, dict[str, str | int]] = Field(
        default_factory=dict,
        description="For the transform picklist: each canonical value, and what it is called in each system.",
    )


class Deletes(Declared):
    """Whose deletes end a golden record; what then becomes of its records, each system says (`on_delete`)."""

    of: tuple[str, ...] = Field(alias="from", min_length=1, description="The systems in which people may delete it.")


class SystemMapping(Declared):
    """Where an entity lives in one system."""

    object: str = Field(description="The object's or table's name in that system.")
    external_id: str = Field(description="The field that holds the canonical id: an external id or alternate key.")
    collection: str | None = Field(None, description="Dynamics, Operations: the entity set name, e.g. accounts.")
    primary_key: str = Field("Id", description="The primary key column; Operations: all key columns, comma-separated.")
    declared: dict[str, AnyColumn] = Field(
        alias="fields", description="Canonical field to the system's own field name, or to more about it."
    )
    events: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="Operations: business events about this object, each with the payload's name for every key column.",
    )
    on_delete: OnDelete = Field("keep", description="What becomes of the record here when it was deleted elsewhere.")
    on_merge: Literal["keep", "review", "deactivate", "merge"] = Field(
        "review",
        description="What becomes of a second record here once two golden records have become one: nothing, a person is "
        "asked, it is made inactive, or (Dynamics: accounts, contacts, leads, incidents) merged into the first there.",
    )
    inactive: dict[str, str | bool | int] = Field(
        default_factory=dict, description="For on_delete deactivate: the columns that make a record inactive."
    )
    active: dict[str, str | bool | int] = Field(
        default_factory=dict, description="For on_delete deactivate: the same columns, as they make it active again."
    )

    @cached_property
    def fields(self) -> dict[str, str]:
        """The canonical field to the system's own field name, in whatever direction."""
        return {name: one.column for name, one in self.declared.items()}

    @cached_property
    def canonical(self) -> dict[str, str]:
        """What we listen to: the system's own field name to the canonical field. Not those that share a column."""
        shared = {self.fields[names[0]] for names in self.joint}
        return {one.column: n for n, one in self.declared.items() if one.inward and one.column not in shared}

    @cached_property
    def listened(self) -> bool:
        """Do we listen to it at all, or only write it?"""
        return any(one.inward for one in self.declared.values())

    @cached_property
    def outward(self) -> frozenset[str]:
        """The canonical fields that we write."""
        return frozenset(name for name, one in self.declared.items() if one.outward)

    @cached_property
    def joint(self) -> tuple[tuple[str, ...], ...]:
        """Canonical fields that are parts of one column, and so are written together."""
        parts: dict[str, list[str]] = {}
        for name, one in self.declared.items():
            if isinstance(one.transform, NamePart):
                parts.setdefault(one.column, []).append(name)
        return tuple(map(tuple, parts.values()))

    @cached_property
    def followed(self) -> FollowedSystem:
        """As the fold follows it."""
        return FollowedSystem(self.on_delete, self.listened, self.outward, self.joint)

    @cached_property
    def lookups(self) -> dict[str, str]:
        """Dynamics: the lookup columns, each with the navigation property by which it is written."""
        return {one.column: one.bind for one in self.declared.values() if one.bind is not None}

    @cached_property
    def key_columns(self) -> tuple[str, ...]:
        """The columns of the primary key, in the order in which they name a record."""
        return tuple(name.strip() for name in self.primary_key.split(","))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Every column to read, the external id last."""
        heard = dict.fromkeys(one.column for one in self.declared.values() if one.inward)
        return (*heard, self.external_id)

    @cached_property
    def written(self) -> tuple[str, ...]:
        """Every column to write, the external id last."""
        told = dict.fromkeys(one.column for one in self.declared.values() if one.outward)
        return (*told, *self.inactive, self.external_id)


class EntityMapping(Declared):
    """One canonical entity over all systems."""

    entity: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="The canonical entity's name.")
    family: str = Field(description="Entities whose records are linked together share a family.")
    match: tuple[tuple[str, ...], ...] | Matching = Field(
        (), description="Sets of fields that, equal and present, link records; or more about matching."
    )
    conflict_seconds: float = Field(
        60.0,
        ge=0,
        description="Different values of a field from two systems, so many seconds apart, are a conflict; 0: never.",
    )
    fields: dict[str, FieldMapping]
    groups: dict[str, Rule] = Field(default_factory=dict, description="A rule per group of fields.")
    deletes: Deletes | None = Field(None, description="Whose deletes count elsewhere; without it nobody's.")
    quality: tuple[QualityRule, ...] = Field((), description="What has to hold before a record goes any further.")
    stewards: Stewards | None = Field(None, description="Who is told of a broken rule by a task; unset: nobody.")
    systems: dict[str, SystemMapping] = Field(min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> EntityMapping:
        found = list(problems(self))
        if found:
            raise ValueError("; ".join(found))
        return self

    @cached_property
    def linking(self) -> tuple[str, ...]:
        """The fields by which records are linked."""
        return tuple(dict.fromkeys(name for names in self.matching.keys for name in names))

    @cached_property
    def matching(self) -> Matching:
        """By what records are matched."""
        return self.match if isinstance(self.match, Matching) else Matching(keys=self.match)

    @cached_property
    def references(self) -> dict[str, str]:
        """The fields that point at other records, each with the entity of those."""
        return {name: spec.to for name, spec in self.fields.items() if spec.to is not None}

    @cached_property
    def choices(self) -> dict[str, Choice]:
        """Per field how it is chosen; fields of a group share theirs."""
        alone = {name: choice((name,), spec.rule, group=False) for name, spec in self.fields.items() if spec.rule}
        together: dict[str, Choice] = {}
        for group, rule in self.groups.items():
            names = tuple(name for name, spec in self.fields.items() if spec.group == group)
            together |= dict.fromkeys(names, choice(names, rule, group=True))
        return {name: alone.get(name) or together[name] for name in self.fields}

    @cached_property
    def watched(self) -> frozenset[str]:
        """The fields that a quality rule looks at."""
        return frozenset(name for rule in self.quality for name in rule.watched)

    @cached_property
    def existing(self) -> frozenset[str]:
        """The references of which a quality rule wants that they exist."""
        return frozenset(rule.field for rule in self.quality if isinstance(rule, Exists))

    @cached_property
    def led(self) -> dict[str, dict[str, Choice]]:
        """Per system the fields on which it is asked first, each with how it is chosen."""
        return {
            system: {name: one for name, one in self.choices.items() if one.turns[0] == system}
            for system in self.systems
        }

    @cached_property
    def heard(self) -> dict[str, dict[str, Choice]]:
        """Per system the fields on which it is asked at all, each with how it is chosen."""
        return {
            system: {name: one for name, one in self.choices.items() if {system, None} & {*one.turns}}
            for system in self.systems
        }

    @cached_property
    def followed(self) -> Followed:
        """As the fold follows it."""
        systems = {name: system.followed for name, system in self.systems.items()}
        ends, rules = self.deletes.of if self.deletes else (), tuple(followed_rule(rule) for rule in self.quality)
        chosen = self.choices, self.led, self.heard
        return Followed(systems, ends, self.conflict_seconds, *chosen, self.existing, rules, self.watched)


class Mappings:
    """All entities of a node, found by canonical name or by a system's own object name."""

    def __init__(self, entities: Iterable[EntityMapping]) -> None:
        self.entities = {entity.entity: entity for entity in entities}
        self.referred = frozenset(to for one in self.entities.values() for to in one.references.values())
        self._by_object = {
            (system, mapping.object): entity
            for entity in self.entities.values()
            for system, mapping in entity.systems.items()
        }

    def joining(self, systems: Iterable[str]) -> Mappings:
        """The same entities in these systems only: a node does not intend anything for a system it does not talk to."""
        wanted = set(systems)
        return Mappings(
            entity.model_copy(update={"systems": {n: s for n, s in entity.systems.items() if n in wanted}})
            for entity in self.entities.values()
        )

    def of_object(self, system: str, name: str) -> EntityMapping | None:
        """The entity that a system's object carries, None where nothing is mapped to it."""
        return self._by_object.get((system, name))

    def objects(self, system: str) -> dict[str, SystemMapping]:
        """A system's mapped objects by their own names."""
        return {name: entity.systems[system] for (of, name), entity in self._by_object.items() if of == system}


def load_mappings(folder: Path = ENTITIES) -> Mappings:
    """Every `*.yaml` of a folder; ConfigError names the file and the place of the first fault."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise ConfigError(f"{folder}: no entity files", hint="put one YAML file an entity there")
    loaded = {file.name: _load(file) for file in files}
    for problem, hint in problems_between(loaded):
        raise ConfigError(problem, hint=hint)
    return Mappings(loaded.values())


class _Once(yaml.SafeLoader):
    """YAML in which a key stands once; PyYAML itself takes the last and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As it was, but for keys that stand twice."""
        keys = [key.value for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.MarkedYAMLError(problem=f"{twice!r} stands twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def _load(file: Path) -> EntityMapping:
    told: Any = None
    try:
        told = yaml.load(file.read_text(encoding="utf-8"), _Once)
        return EntityMapping.model_validate(told)
    except yaml.YAMLError as fault:
        raise ConfigError(f"{file.name}: not YAML: {fault}") from fault
    except ValidationError as fault:
        first = fault.errors()[0]
        whose = f"entity {told['entity']}: " if isinstance(told, dict) and "entity" in told else ""
        place = "".join(f"{part}: " for part in [".".join(map(str, first["loc"]))] if part)
        raise ConfigError(f"{file.name}: {whose}{place}{first['msg'].removeprefix('Value error, ')}") from fault
