"""Translation: a change of one system under canonical names and values, and what we write under the system's own.

Promises: pure; a field without a transform is passed on as it is; a value of which nothing can be made is left out and told
of, and everything else goes on; a field that is written would be read back as the same canonical value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from isthmus.codecs import names
from isthmus.codecs.change import Change, Value
from isthmus.codecs.transforms import Way, way
from isthmus.config.errors import TransformError
from isthmus.config.mapping import EntityMapping, Mappings
from isthmus.config.transforms import Column, NamePart

Refused = tuple[TransformError, ...]
# What cannot be made anything of, and days that another zone has beyond the calendar.
FAULTS = (ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class Told:
    """What a change says, under canonical names; `refused`: what it says too, but nothing can be made of."""

    fields: dict[str, Value]
    cleared: tuple[str, ...]
    refused: Refused = ()


class Translation:
    """Between one system and one entity."""

    def __init__(self, entity: EntityMapping, system: str) -> None:
        mapping = entity.systems[system]
        self.system = system
        self._names = mapping.canonical
        self._columns = mapping.fields
        self._ways = {
            name: way(column.transform, system, entity.fields[name].values)
            for name, column in mapping.declared.items()
            if column.transform is not None and not isinstance(column.transform, NamePart)
        }
        # Who asks for a country comes after it.
        self._heard = sorted(
            ((name, one) for name, one in self._ways.items() if mapping.declared[name].inward),
            key=lambda named: named[1].country is not None,
        )
        self._asking = [(self._columns[n], one, self._columns[one.country]) for n, one in self._heard if one.country]
        self._parts = [_Parts(mapping.declared, joint) for joint in mapping.joint]

    # -- in

    def lacks(self, change: Change) -> bool:
        """Does a value mean nothing without the record's country, of which this change does not speak?"""
        return any(
            column in change.fields
            and country not in change.fields
            and country not in change.cleared
            and one.needs(change.fields[column])
            for column, one, country in self._asking
        )

    def inward(self, fields: Mapping[str, Value], cleared: Collection[str]) -> Told:
        """Fields as the system tells them, and the names of those that it tells are null."""
        known = self._names
        told = {known[name]: value for name, value in fields.items() if name in known}
        blank = [known[name] for name in cleared if name in known]
        refused: list[TransformError] = []
        for name, one in self._heard:
            if (value := told.get(name)) is not None:
                self._hear(told, blank, refused, name, one, value)
        for parts in self._parts:
            parts.hear(self.system, fields, told, blank, refused)
            blank += parts.fields if parts.column in cleared and parts.inward else ()
        return Told(told, tuple(blank), tuple(refused))

    def _hear(
        self,
        told: dict[str, Value],
        blank: list[str],
        refused: list[TransformError],
        name: str,
        one: Way,
        value: Value,
    ) -> None:
        country = told.get(one.country) if one.country else None
        try:
            if one.needs(value) and any(fault.field == one.country for fault in refused):
                raise ValueError("needs the country, which was refused")
            canonical = one.inward(value, country if isinstance(country, str) else None)
        except FAULTS as fault:
            refused.append(TransformError(self.system, name, value, str(fault)))
            del told[name]
            return
        if canonical is None:
            del told[name]
            blank.append(name)
        else:
            told[name] = canonical

    # -- out

    def outward(self, fields: Mapping[str, Value]) -> tuple[dict[str, Value], Refused]:
        """Canonical values under the system's own names, and what cannot be said there."""
        native: dict[str, Value] = {}
        refused: list[TransformError] = []
        joined = {name for parts in self._parts for name in parts.fields}
        for name, value in fields.items():
            if name in joined:
                continue
            try:
                native[self._columns[name]] = self._told(name, value)
            except FAULTS as fault:
                refused.append(TransformError(self.system, name, value, str(fault), inward=False))
        for parts in self._parts:
            parts.tell(self.system, fields, native, refused)
        return native, tuple(refused)

    def _told(self, name: str, value: Value) -> Value:
        one = self._ways.get(name)
        if one is None or value is None:
            return value
        native = one.outward(value)
        back = None if native is None else one.inward(native, one.home(value))
        if back != value:
            raise ValueError(f"would be written {native!r}, which is read as {back!r}")
        return native


class _Parts:
    """A column with a whole name, and the canonical fields of its parts."""

    def __init__(self, declared: Mapping[str, Column], joint: tuple[str, ...]) -> None:
        held = {one.transform.part: name for name in joint if isinstance((one := declared[name]).transform, NamePart)}
        self.fields = (held["first"], held["last"])
        column = declared[joint[0]]
        self.column, self.inward = column.column, column.inward
        self._form = column.transform.form if isinstance(column.transform, NamePart) else ""

    def hear(
        self,
        system: str,
        told: Mapping[str, Value],
        fields: dict[str, Value],
        blank: list[str],
        refused: list[TransformError],
    ) -> None:
        """Take the column apart."""
        value = told.get(self.column) if self.inward else None
        if value is None:
            return
        try:
            found = names.parts(value, self._form)
        except ValueError as fault:
            refused.extend(TransformError(system, name, value, str(fault)) for name in self.fields)
            return
        for name, part in zip(self.fields, found, strict=True):
            if part is None:
                blank.append(name)
            else:
                fields[name] = part

    def tell(
        self, system: str, fields: Mapping[str, Value], native: dict[str, Value], refused: list[TransformError]
    ) -> None:
        """Put the column together."""
        given = [name for name in self.fields if name in fields]
        first, last = (fields.get(name) for name in self.fields)
        try:
            if given:
                native[self.column] = names.whole(first, last, self._form)
        except ValueError as fault:
            refused.extend(TransformError(system, name, fields[name], str(fault), inward=False) for name in given)


class Translations:
    """Of all entities; a system's entity without any transform has none, and costs nothing."""

    def __init__(self, mappings: Mappings) -> None:
        self._found = {
            (system, mapping.object): Translation(entity, system)
            for entity in mappings.entities.values()
            for system, mapping in entity.systems.items()
            if any(column.transform is not None for column in mapping.declared.values())
        }

    def of(self, system: str, object: str) -> Translation | None:
        """That of a system's object."""
        return self._found.get((system, object))
