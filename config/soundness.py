"""Soundness: what in an entity's mapping cannot work, said by the place where it stands.

Promises: pure; finds everything that is wrong, not the first alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from isthmus.config.quality import Exists
from isthmus.config.transforms import Column, Country, NamePart, Phone, Picklist, State

if TYPE_CHECKING:
    from isthmus.config.mapping import EntityMapping, FieldMapping, SystemMapping
    from isthmus.config.quality import Stewards


# What Dynamics' Merge action takes (dynamics.md §3.6); no other platform has one that can be called.
MERGEABLE = ("account", "contact", "lead", "incident")


def problems(entity: EntityMapping) -> Iterator[str]:
    """Every problem, in the order of the file."""
    for name, spec in entity.fields.items():
        yield from _field(entity, name, spec)
    for system, mapping in entity.systems.items():
        yield from _system(entity, system, mapping)
    said = {name for system in entity.systems for name in _said(entity, system)}
    for name in dict.fromkeys(name for key in (*entity.matching.keys, tuple(entity.matching.fuzzy)) for name in key):
        if name not in entity.fields:
            yield f"match: the entity has no field {name!r}"
        elif name not in said:
            yield f"match: no system tells us {name!r}"
    yield from _rules(entity)
    yield from _quality(entity)
    yield from _deletes(entity)


def _said(entity: EntityMapping, system: str) -> frozenset[str]:
    """The canonical fields on which a system is listened to."""
    return frozenset(name for name, one in entity.systems[system].declared.items() if one.inward)


# -- quality


def _quality(entity: EntityMapping) -> Iterator[str]:
    for name, times in Counter(rule.name for rule in entity.quality).items():
        if times > 1:
            yield f"quality.{name}: {times} rules have this name"
    for rule in entity.quality:
        for name in rule.watched:
            if name not in entity.fields:
                yield f"quality.{rule.name}: the entity has no field {name!r}"
        if isinstance(rule, Exists) and rule.field in entity.fields and rule.field not in entity.references:
            yield f"quality.{rule.name}: {rule.field} is no reference"
    for name, told in (("about", to.about), ("regarding", to.regarding)) if (to := entity.stewards) else ():
        for system in told.values():
            if system not in entity.systems:
                yield f"stewards.{name}: there is no system {system!r}"


def _task_problems(of: str, to: Stewards, tasks: EntityMapping | None) -> Iterator[str]:
    """What keeps tasks about records `of` an entity from being records of theirs (None: there is none of that name)."""
    if tasks is None:
        yield f"tasks: there is no entity {to.tasks!r}"
        return
    if tasks.stewards is not None or tasks.quality:
        yield f"tasks: the entity {to.tasks} has quality rules or stewards of its own"
    for name in ("subject", "description", "status", *to.about, *(("owner",) if to.owner else ())):
        if name not in tasks.fields:
            yield f"tasks: the entity {to.tasks} has no field {name!r}"
    for name in to.regarding:
        if tasks.references.get(name) != of:
            yield f"regarding: {name} of the entity {to.tasks} is no reference to {of}"


# -- fields and their rules


def _field(entity: EntityMapping, name: str, spec: FieldMapping) -> Iterator[str]:
    if (spec.rule is None) == (spec.group is None):
        yield f"fields.{name}: give it either a rule or a group"
    if spec.group is not None and spec.group not in entity.groups:
        yield f"fields.{name}: there is no group {spec.group!r}"
    yield from _reference(entity, name, spec)
    for system in dict.fromkeys(system for told in spec.values.values() for system in told):
        yield from _values(entity, name, spec, system)
    yield from _one_form(entity, name)


def _reference(entity: EntityMapping, name: str, spec: FieldMapping) -> Iterator[str]:
    """Who it points at is known later than the rest of a change, so it is chosen alone, and links nobody."""
    if (spec.type == "reference") != (spec.to is not None):
        yield f"fields.{name}: a field of type reference, and no other, has the entity it points at as `to`"
    if spec.required and spec.to is None:
        yield f"fields.{name}.required: only a reference may be"
    if spec.to is None:
        return
    if spec.group is not None:
        yield f"fields.{name}: a reference has a rule of its own and no group"
    if any(name in names for names in entity.match):
        yield f"match: {name} is a reference, and those link no records"


def _one_form(entity: EntityMapping, name: str) -> Iterator[str]:
    """Systems that tell a field have to tell it in the same canonical form."""
    told = {system: one.declared[name] for system, one in entity.systems.items() if name in one.declared}
    kinds = {system: column.transform.kind if column.transform else "none" for system, column in told.items()}
    heard = {kinds[system] for system, column in told.items() if column.inward} - {"name_part"}
    if len(heard) > 1 and heard != {"none", "trim"}:
        listed = ", ".join(f"{system} {kinds[system]}" for system in told)
        yield f"fields.{name}: all systems that tell it need the same transform, and they have {listed}"


def _values(entity: EntityMapping, name: str, spec: FieldMapping, system: str) -> Iterator[str]:
    place = f"fields.{name}.values"
    column = entity.systems[system].declared.get(name) if system in entity.systems else None
    if system not in entity.systems:
        yield f"{place}: there is no system {system!r}"
    elif column is None or not isinstance(column.transform, Picklist):
        yield f"{place}: systems.{system}.fields.{name} has no transform picklist"
    counted = Counter(str(told[system]) for told in spec.values.values() if system in told)
    for value, times in counted.items():
        if times > 1:
            yield f"{place}: {system} {value!r} stands for {times} values; give it one, and the rest as aliases"


def _rules(entity: EntityMapping) -> Iterator[str]:
    for name, spec in entity.fields.items():
        yield from _rule(entity, f"fields.{name}", getattr(spec.rule, "systems", ()), (name,))
    for group, rule in entity.groups.items():
        names = [name for name, spec in entity.fields.items() if spec.group == group]
        yield from _rule(entity, f"groups.{group}", getattr(rule, "systems", ()), names)


def _rule(entity: EntityMapping, place: str, systems: Iterable[str], names: Iterable[str]) -> Iterator[str]:
    for system in systems:
        if system not in entity.systems:
            yield f"{place}: there is no system {system!r}"
        elif not _said(entity, system).intersection(names):
            yield f"{place}: {system} decides, but does not tell it: map it there, not as direction out"


# -- a system's columns


def _system(entity: EntityMapping, system: str, mapping: SystemMapping) -> Iterator[str]:
    place = f"systems.{system}"
    for name, column in mapping.declared.items():
        if name not in entity.fields:
            yield f"{place}.fields.{name}: the entity has no such field"
        else:
            yield from _column(entity, mapping, f"{place}.fields.{name}", name, column)
    yield from _shared(place, mapping)
    if mapping.external_id in mapping.fields.values():
        yield f"{place}.external_id: {mapping.external_id} holds our id and can be no field as well"
    for event, key in mapping.events.items():
        if key.keys() != set(mapping.key_columns):
            yield f"{place}.events.{event}: name exactly the key columns {mapping.primary_key}"


def _column(entity: EntityMapping, mapping: SystemMapping, place: str, name: str, column: Column) -> Iterator[str]:
    transform, spec = column.transform, entity.fields[name]
    if column.bind is not None and spec.to is None:
        yield f"{place}.bind: fields.{name} is no reference"
    if transform is None:
        return
    if spec.type not in transform.types:
        fits = " or ".join(sorted(transform.types))
        yield f"{place}: the transform {transform.kind} makes {fits}, and fields.{name} is of type {spec.type}"
    if isinstance(transform, Picklist) and not spec.values:
        yield f"{place}: the transform picklist needs fields.{name}.values"
    if isinstance(transform, Picklist):
        for value in dict.fromkeys(transform.aliases.values()):
            if value not in spec.values:
                yield f"{place}.transform.aliases: fields.{name}.values has no {value!r}"
    if isinstance(transform, Phone | State) and transform.country is not None:
        yield from _companion(mapping, place, transform.country)


def _companion(mapping: SystemMapping, place: str, country: str) -> Iterator[str]:
    column = mapping.declared.get(country)
    if column is None or not column.inward or not isinstance(column.transform, Country):
        yield f"{place}.transform.country: {country} has to be mapped there, inwards, with the transform country"


def _one_of_several(held: Sequence[Column]) -> bool:
    """A lookup that may point at several tables, each by a property of its own, is written by one field a table."""
    binds = {one.bind for one in held if one.bind is not None and not one.inward}
    return len(binds) == len(held)


def _shared(place: str, mapping: SystemMapping) -> Iterator[str]:
    """A column may carry more than one field only as the parts of a name, or as a lookup that is only written."""
    for column, times in Counter(mapping.fields.values()).items():
        held = [one for one in mapping.declared.values() if one.column == column]
        parts = [one.transform for one in held if isinstance(one.transform, NamePart)]
        if times > 1 and _one_of_several(held):
            continue
        if times > 1 and len(parts) < times:
            yield f"{place}.fields: two fields share one column, {column}"
        elif times != 2 and parts:
            yield f"{place}.fields: {column} needs both parts of a name, first and last"
        elif len({part.part for part in parts}) < len(parts):
            yield f"{place}.fields: {column} has the same part of a name twice"
        elif len({part.form for part in parts}) > 1 or len({one.direction for one in held}) > 1:
            yield f"{place}.fields: both parts of {column} need the same form and direction"


# -- deletes


def _deletes(entity: EntityMapping) -> Iterator[str]:
    for system in entity.deletes.of if entity.deletes else ():
        if system not in entity.systems:
            yield f"deletes.from: there is no system {system!r}"
    for system, mapping in entity.systems.items():
        if mapping.on_delete != "keep" and entity.deletes is None:
            yield f"systems.{system}.on_delete: nobody's deletes count; name the systems in deletes.from"
        if mapping.on_merge == "merge" and (system != "dynamics" or mapping.object not in MERGEABLE):
            yield f"systems.{system}.on_merge: only Dynamics can merge, and of its tables {', '.join(MERGEABLE)}"
        yield from _states(f"systems.{system}", mapping)


def _states(place: str, mapping: SystemMapping) -> Iterator[str]:
    """What makes a record inactive there, and active again."""
    for name, policy in (("on_delete", mapping.on_delete), ("on_merge", mapping.on_merge)):
        if policy == "deactivate" and not mapping.inactive:
            yield f"{place}.{name}: deactivate needs `inactive` and `active`, the columns that say so there"
    if mapping.inactive.keys() != mapping.active.keys():
        yield f"{place}.active: name the columns of `inactive`, as they are in an active record"
    elif mapping.inactive and mapping.inactive == mapping.active:
        yield f"{place}.active: it is the same as `inactive`"
    for column in mapping.inactive:
        if column in (*mapping.fields.values(), mapping.external_id):
            yield f"{place}.inactive: {column} is mapped already, and can be no field as well"


# -- several files


def problems_between(loaded: Mapping[str, EntityMapping]) -> Iterator[tuple[str, str | None]]:
    """Problems of entities beside each other, by their files, each with a hint where there is one."""
    yield from _apart(loaded)
    yield from _pointing(loaded)
    yield from _tasks(loaded)


def _apart(loaded: Mapping[str, EntityMapping]) -> Iterator[tuple[str, str | None]]:
    """No two files may speak of the same entity, nor of the same object of a system."""
    taken: dict[str, str] = {}
    for file, entity in loaded.items():
        objects = [f"{system} {one.object}" for system, one in entity.systems.items()]
        for subject in (f"entity {entity.entity}", *objects):
            if subject in taken:
                yield f"{file}: {subject} is mapped in {taken[subject]} already", "keep one of them"
            taken[subject] = file


def _pointing(loaded: Mapping[str, EntityMapping]) -> Iterator[tuple[str, str | None]]:
    """A reference points at an entity that there is, and is mapped only where that is mapped too."""
    entities = {one.entity: one for one in loaded.values()}
    for file, entity in loaded.items():
        for name, to in entity.references.items():
            if to not in entities:
                yield f"{file}: fields.{name}.to: there is no entity {to!r}", None
                continue
            for system, one in entity.systems.items():
                if name in one.declared and system not in entities[to].systems:
                    yield f"{file}: systems.{system}.fields.{name}: {to} is not mapped there", None


def _tasks(loaded: Mapping[str, EntityMapping]) -> Iterator[tuple[str, str | None]]:
    """Tasks for stewards are records of an entity that is there and has what a task says."""
    entities = {entity.entity: entity for entity in loaded.values()}
    for file, entity in loaded.items():
        to = entity.stewards
        for problem in () if to is None else _task_problems(entity.entity, to, entities.get(to.tasks)):
            yield f"{file}: entity {entity.entity}: stewards: {problem}", "see docs/quality.md"
