"""Drift: how an entity's mapping differs from what the platforms themselves say of their fields.

Promises: pure; everything that differs is told, with what to do; `wrong` is what will fail or be refused, the rest may.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from isthmus.config.mapping import EntityMapping, SystemMapping
from isthmus.config.transforms import Column, Country, Currency, Date, Datetime, Money, NamePart, Phone, Picklist
from isthmus.systems.describing import Described

# What a field of a type may be in a system that has no transform for it, and what a transform can be of.
PLAIN = {
    "string": {"string", "choice", "reference"},
    "integer": {"integer"},
    "number": {"number", "integer", "money"},
    "money": {"money", "number"},
    "boolean": {"boolean"},
    "date": {"date"},
    "datetime": {"datetime"},
    "option": {"option", "choice"},
    "reference": {"reference"},
}
OF = {
    "trim": {"string"},
    "email": {"string"},
    "phone": {"string"},
    "name_part": {"string"},
    "country": {"string", "choice", "integer"},
    "state": {"string", "choice"},
    "currency": {"string", "choice", "integer"},
    "money": {"money", "number", "integer"},
    "picklist": {"option", "choice", "string", "integer"},
    "date": {"date"},
    "datetime": {"datetime"},
}
ID_LENGTH = 36


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference. `wrong`: it has to be put right."""

    system: str
    place: str
    message: str
    hint: str
    wrong: bool = True


def drifts(entity: EntityMapping, told: Mapping[str, Mapping[str, Described]]) -> list[Drift]:
    """Everything that differs; `told`: each system's fields of its object by name. Systems that told nothing are left
    out."""
    return [one for system, fields in told.items() for one in _system(entity, system, fields, told)]


def _system(
    entity: EntityMapping, system: str, fields: Mapping[str, Described], told: Mapping[str, Mapping[str, Described]]
) -> Iterator[Drift]:
    mapping = entity.systems[system]
    for name, column in mapping.declared.items():
        place = f"{mapping.object}.{column.column} ({entity.entity}.{name})"
        field = fields.get(column.column)
        if field is None:
            yield Drift(system, place, "is missing, or may not be seen", _nearest(column.column, fields))
            continue
        numbered = any(_kind(entity, other, name, fields) == "option" for other, fields in told.items())
        for message, hint, wrong in _field(entity, system, name, field, numbered):
            yield Drift(system, place, message, hint, wrong)
        yield from _shorter(entity, system, name, field, told, place)
    yield from _key(mapping, system, fields)


Said = tuple[str, str, bool]


def _kind(entity: EntityMapping, system: str, name: str, fields: Mapping[str, Described]) -> str:
    """What a canonical field is in a system; empty where it is not mapped, or not there."""
    column = entity.systems[system].declared.get(name)
    field = fields.get(column.column) if column is not None else None
    return "" if field is None else field.kind


def _field(entity: EntityMapping, system: str, name: str, field: Described, numbered: bool) -> Iterator[Said]:
    """`numbered`: some system has numbers for the options of this field."""
    column = entity.systems[system].declared[name]
    yield from _rights(column, field)
    wrong_type = list(_type(entity.fields[name].type, column, field, numbered))
    yield from wrong_type
    if not wrong_type and isinstance(column.transform, Picklist) and field.options is not None:
        yield from _options(entity, system, name, column, column.transform, field)
    yield from _too_short(column, field)


def _nearest(name: str, known: Mapping[str, Described]) -> str:
    folded = {one.casefold(): one for one in known}
    close = difflib.get_close_matches(name.casefold(), folded, 1)
    if close:
        return f"is {folded[close[0]]} meant? Names are told with their case"
    return "correct the mapping, or let the integration user see the field"


def _rights(column: Column, field: Described) -> Iterator[Said]:
    if column.outward and not field.writable:
        if field.made_by:
            yield f"is made by {field.made_by} and cannot be written", "set direction: in", True
        else:
            yield "may not be written", "set direction: in, or let the integration user edit the field", True
    if column.inward and not field.readable:
        yield "may not be read", "set direction: out, or let the integration user read the field", True


# -- types


def _type(wanted: str, column: Column, field: Described, numbered: bool) -> Iterator[Said]:
    if column.transform is None:
        if field.kind not in PLAIN[wanted]:
            yield f"is {field.kind}, and the field is {wanted}", _remedy(wanted, field), True
        elif wanted == "option" and field.kind == "choice" and numbered:
            yield "has texts, where another system has numbers", "give both the transform picklist", True
    elif field.kind not in _fitting(column):
        kind = column.transform.kind
        yield f"is {field.kind}, of which the transform {kind} can make nothing", "correct the transform", True


def _fitting(column: Column) -> set[str]:
    match column.transform:
        case Date(format=None, form="datetime"):
            return {"datetime"}
        case (Date() | Datetime()) as transform if transform.format is not None:
            return {"string"}
        case Money(form="text"):
            return {"string"}
        case None:
            return set()
        case transform:
            return OF[transform.kind]


def _remedy(wanted: str, field: Described) -> str:
    if field.kind in ("option", "choice"):
        return "give the field values and the transform picklist"
    if {wanted, field.kind} == {"date", "datetime"}:
        return "give it the transform date with form: datetime" if wanted == "date" else "make the field a date"
    return "correct the field's type, or map another column"


# -- lengths


def _too_short(column: Column, field: Described) -> Iterator[Said]:
    """Does it hold what the transform writes?"""
    needs = _writes(column)
    if column.outward and field.length is not None and needs > field.length:
        yield f"holds {field.length} characters, and {needs} are written", "make the column longer", True


def _writes(column: Column) -> int:
    match column.transform:
        case Country(form="alpha_2"):
            return 2
        case Country(form="alpha_3" | "numeric") | Currency(form="code" | "numeric"):
            return 3
        case Phone(form="e164"):
            return 16
        case Date(format=None):
            return 10
        case _:
            return 0


def _shorter(
    entity: EntityMapping,
    system: str,
    name: str,
    field: Described,
    told: Mapping[str, Mapping[str, Described]],
    place: str,
) -> Iterator[Drift]:
    """Longer values of another system will be refused here: no fault, unless there are any."""
    mine = entity.systems[system].declared[name]
    if not mine.outward or field.length is None or isinstance(mine.transform, Picklist | NamePart):
        return
    for other, fields in told.items():
        theirs = entity.systems[other].declared.get(name)
        length = getattr(fields.get(theirs.column), "length", None) if theirs is not None and theirs.inward else None
        if other != system and theirs is not None and length is not None and length > field.length:
            message = f"holds {field.length} characters, {other}'s {theirs.column} up to {length}"
            yield Drift(system, place, message, "longer values will be refused here", wrong=False)


def _key(mapping: SystemMapping, system: str, fields: Mapping[str, Described]) -> Iterator[Drift]:
    place, field = f"{mapping.object}.{mapping.external_id} (external id)", fields.get(mapping.external_id)
    if field is None:
        yield Drift(system, place, "is missing, or may not be seen", "isthmus provision --apply makes it")
    elif field.kind != "string":
        yield Drift(system, place, f"is {field.kind} and cannot hold our ids", "map a text column")
    elif field.length is not None and field.length < ID_LENGTH:
        message = f"holds {field.length} characters, and our ids have {ID_LENGTH}"
        yield Drift(system, place, message, "make the column longer")


# -- picklists


def _options(
    entity: EntityMapping, system: str, name: str, column: Column, transform: Picklist, field: Described
) -> Iterator[Said]:
    values, options = entity.fields[name].values, field.options or {}
    mapped = {str(told[system]): canonical for canonical, told in values.items() if system in told}
    for native, canonical in mapped.items():
        if native not in options:
            wrong = column.outward and field.closed
            yield f"has no option {native!r}, which {canonical} is mapped to", f"correct fields.{name}.values", wrong
    for native, label in options.items():
        if column.inward and native not in mapped and native not in transform.aliases:
            said = f"{native!r} ({label})" if label and label != native else f"{native!r}"
            hint = f"add it to fields.{name}.values, or as an alias"
            yield f"has the option {said}, which would be refused", hint, True
    for canonical, told in values.items():
        if column.outward and system not in told:
            hint = f"add {system} to fields.{name}.values.{canonical}"
            yield f"has nothing for {canonical}, which would be refused on the way here", hint, False
