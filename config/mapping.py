"""Mappings: which field of which object in which system is which field of which canonical entity, and who decides.

Read from YAML (one file an entity), validated here, frozen afterwards. Promises: a mapping that loads can be run: every
field named by a system exists in the entity, every field has exactly one rule, its own or its group's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from isthmus.config.errors import ConfigError

ENTITIES = Path(__file__).parent / "entities"


class Declared(BaseModel):
    """Strict and frozen: an unknown key is an error, a loaded mapping never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Owner(Declared):
    """One system is the system of record; what the others say never becomes the golden value."""

    owner: str = Field(description="The system of record.")


class Precedence(Declared):
    """The first system of the list that has an opinion decides."""

    precedence: tuple[str, ...] = Field(min_length=1, description="Systems, strongest first.")


Rule = Owner | Precedence | Literal["last_writer"]


@dataclass(frozen=True)
class Choice:
    """Fields that are chosen together: those of a group, or one alone. `turns`: who may speak, strongest first; None
    is anyone. `group`: they come from one record. `rule`: the rule as people read it."""

    fields: tuple[str, ...]
    turns: tuple[str | None, ...]
    rule: str
    group: bool


def choice(fields: tuple[str, ...], rule: Rule, *, group: bool) -> Choice:
    """How these fields are chosen by a rule."""
    match rule:
        case Owner(owner=system):
            return Choice(fields, (system,), f"owner {system}", group)
        case Precedence(precedence=systems):
            return Choice(fields, systems, f"precedence {' > '.join(systems)}", group)
    return Choice(fields, (None,), "last_writer", group)


class FieldMapping(Declared):
    """A canonical field: its type and the rule that chooses its value."""

    type: Literal["string", "integer", "number", "money", "boolean", "date", "datetime", "option"] = "string"
    rule: Annotated[Rule | None, Field(description="How the golden value is chosen; leave out in a group.")] = None
    group: str | None = Field(None, description="Fields of one group always come from the same record.")


class SystemMapping(Declared):
    """Where an entity lives in one system."""

    object: str = Field(description="The object's or table's name in that system.")
    external_id: str = Field(description="The field that holds the canonical id: an external id or alternate key.")
    collection: str | None = Field(None, description="Dynamics, Operations: the entity set name, e.g. accounts.")
    primary_key: str = Field("Id", description="The primary key column; Operations: all key columns, comma-separated.")
    fields: dict[str, str] = Field(description="Canonical field to the system's own field name.")
    events: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="Operations: business events about this object, each with the payload's name for every key column.",
    )

    @cached_property
    def canonical(self) -> dict[str, str]:
        """The system's own field name to the canonical field."""
        return {native: name for name, native in self.fields.items()}

    @cached_property
    def key_columns(self) -> tuple[str, ...]:
        """The columns of the primary key, in the order in which they name a record."""
        return tuple(name.strip() for name in self.primary_key.split(","))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Every column to read, the external id last."""
        return (*self.fields.values(), self.external_id)


class EntityMapping(Declared):
    """One canonical entity over all systems."""

    entity: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="The canonical entity's name.")
    family: str = Field(description="Entities whose records are linked together share a family.")
    match: tuple[tuple[str, ...], ...] = Field((), description="Sets of fields that, equal and present, link records.")
    fields: dict[str, FieldMapping]
    groups: dict[str, Rule] = Field(default_factory=dict, description="A rule per group of fields.")
    systems: dict[str, SystemMapping] = Field(min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> EntityMapping:
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterable[str]:
        for name, spec in self.fields.items():
            yield from self._field_problems(name, spec)
        for system, mapping in self.systems.items():
            yield from self._system_problems(system, mapping)
        for name in {name for key in self.match for name in key} - self.fields.keys():
            yield f"match: the entity has no field {name!r}"
        for name, rule in self._rules():
            for system in _systems_of(rule) - self.systems.keys():
                yield f"{name}: there is no system {system!r}"

    def _field_problems(self, name: str, spec: FieldMapping) -> Iterable[str]:
        if (spec.rule is None) == (spec.group is None):
            yield f"fields.{name}: give it either a rule or a group"
        if spec.group is not None and spec.group not in self.groups:
            yield f"fields.{name}: there is no group {spec.group!r}"

    def _system_problems(self, system: str, mapping: SystemMapping) -> Iterable[str]:
        for name in mapping.fields.keys() - self.fields.keys():
            yield f"systems.{system}.fields.{name}: the entity has no such field"
        if len(set(mapping.fields.values())) != len(mapping.fields):
            yield f"systems.{system}.fields: two fields share one column"
        for event, key in mapping.events.items():
            if key.keys() != set(mapping.key_columns):
                yield f"systems.{system}.events.{event}: name exactly the key columns {mapping.primary_key}"

    def _rules(self) -> Iterable[tuple[str, Rule]]:
        yield from ((f"fields.{n}", s.rule) for n, s in self.fields.items() if s.rule is not None)
        yield from ((f"groups.{n}", rule) for n, rule in self.groups.items())

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
    def led(self) -> dict[str, frozenset[str]]:
        """Per system the fields on which it is asked first."""
        return {
            system: frozenset(name for name, one in self.choices.items() if one.turns[0] == system)
            for system in self.systems
        }

    @cached_property
    def heard(self) -> dict[str, frozenset[str]]:
        """Per system the fields on which it is asked at all."""
        return {
            system: frozenset(name for name, one in self.choices.items() if {system, None} & {*one.turns})
            for system in self.systems
        }


def _systems_of(rule: Rule) -> set[str]:
    match rule:
        case Owner(owner=system):
            return {system}
        case Precedence(precedence=systems):
            return set(systems)
    return set()


class Mappings:
    """All entities of a node, found by canonical name or by a system's own object name."""

    def __init__(self, entities: Iterable[EntityMapping]) -> None:
        self.entities = {entity.entity: entity for entity in entities}
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
    return Mappings(_load(file) for file in files)


def _load(file: Path) -> EntityMapping:
    try:
        return EntityMapping.model_validate(yaml.safe_load(file.read_text()))
    except yaml.YAMLError as fault:
        raise ConfigError(f"{file.name}: not YAML: {fault}") from fault
    except ValidationError as fault:
        first = fault.errors()[0]
        place = "".join(f"{part}: " for part in [".".join(map(str, first["loc"]))] if part)
        raise ConfigError(f"{file.name}: {place}{first['msg'].removeprefix('Value error, ')}") from fault
