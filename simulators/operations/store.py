"""The rows of an environment (simulators/rows.py): validated writes, number sequences, ETags of RecVersion and RecId.

Promises: those of rows.py; RecVersion is 1 on a new row and random after, so an ETag tells equal from different and nothing
more; a write that is refused changes nothing. Text compares without regard to case, as the database does.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from isthmus.simulators.bounds import Bound
from isthmus.simulators.operations import faults
from isthmus.simulators.operations.keys import write_key
from isthmus.simulators.operations.schema import COMPANY, Column, Entity, Sequence
from isthmus.simulators.rows import Database, Form, Rows, folded

FIRST_RECORD = 5_637_144_576


KEY, NUMBER, VERSION = "#key", "RecId", "RecVersion"
OWN: Mapping[str, Form | None] = {NUMBER: None, VERSION: None}


@dataclass(frozen=True, slots=True)
class Row:
    """One row at one version; `values` holds every column as JSON shows it."""

    entity: Entity
    number: int
    values: Mapping[str, Any]
    version: int = 1

    @property
    def id(self) -> str:
        """Its key as text."""
        return write_key(self.entity, self.values)

    @property
    def etag(self) -> str:
        """`W/"base64('RecVersion,RecId')"`."""
        return f'W/"{base64.b64encode(f"{chr(39)}{self.version},{self.number}{chr(39)}".encode()).decode()}"'


class Store:
    """All rows of all entities."""

    def __init__(self, entities: Iterable[Entity], seed: int) -> None:
        self.entities = {one.name: one for one in entities}
        self.collections = {one.collection: one for one in self.entities.values()}
        self._database = Database()
        self.all_or_none = self._database.all_or_none
        self._rows = {name: self._table(one) for name, one in self.entities.items()}
        self._chance = random.Random(f"versions/{seed}")
        self._numbers: dict[tuple[str, str], int] = {}
        self._next = FIRST_RECORD

    def all(self, name: str) -> list[Row]:
        """Every row, oldest first."""
        return self._rows[name].whole()

    def within(self, name: str, bound: Bound | None) -> list[Row]:
        """The rows within a filter's bound, oldest first."""
        return self.all(name) if bound is None else self._rows[name].any_of(folded(bound.column), bound.values)

    def find(self, name: str, key: str) -> Row | None:
        """The row with this key text."""
        return self._rows[name].get(key.casefold())

    def create(self, entity: Entity, given: Mapping[str, Any], company: str) -> Row:
        """A new row; unset columns are empty, the sequences number it."""
        values = {name: column.empty for name, column in entity.columns.items()} | dict(entity.defaults)
        if COMPANY in entity.columns:
            values[COMPANY] = company
        values |= self._checked(entity, given)
        self._complete(entity, values)
        for sequence in entity.sequences:
            if not given.get(sequence.column):
                values[sequence.column] = self._number(entity, sequence, values)
        row = Row(entity, self._next, values)
        if row.id.casefold() in self._rows[entity.name]:
            raise faults.write_refused(
                entity.name, f"Error: Cannot create a record in {entity.name}. The record already exists"
            )
        self._next += 1
        return self._put(row)

    def update(self, row: Row, given: Mapping[str, Any]) -> Row:
        """Set columns; a key column that is given must be the one it has."""
        values = self._checked(row.entity, given)
        for name in row.entity.keys:
            if name in values and _alike(values[name]) != _alike(row.values[name]):
                raise faults.write_refused(row.entity.name, f"Error: Field '{name}' cannot be edited")
        self._complete(row.entity, {**row.values, **values})
        changed = {name: value for name, value in values.items() if name not in row.entity.keys}
        return self._put(Row(row.entity, row.number, {**row.values, **changed}, self._chance.randrange(2, 2**31)))

    def remove(self, row: Row) -> None:
        """The row is gone."""
        self._rows[row.entity.name].pop(row.id.casefold())

    # -- inside

    def _table(self, entity: Entity) -> Rows[Row]:
        def told(stamp: int, values: dict[str, Any]) -> Row:
            number, version = values.pop(NUMBER), values.pop(VERSION)
            return Row(entity, number, {name: values[name] for name in entity.columns}, version)

        rows = self._database.table(entity.name, KEY, {KEY: None, **dict.fromkeys(entity.columns), **OWN}, told)
        for column in self._referred(entity.name):
            rows.index(column, folded(column))
        return rows

    def _referred(self, name: str) -> set[str]:
        """The columns of an entity that others refer to."""
        refers = (column.refers for entity in self.entities.values() for column in entity.columns.values())
        return {one[1] for one in refers if one is not None and one[0] == name}

    def _put(self, row: Row) -> Row:
        values = {**row.values, NUMBER: row.number, VERSION: row.version}
        self._rows[row.entity.name].put(row.id.casefold(), values)
        return row

    def _checked(self, entity: Entity, given: Mapping[str, Any]) -> dict[str, Any]:
        values = {}
        for name, value in given.items():
            column = entity.columns.get(name)
            if column is None:
                raise faults.undeclared(entity.public, name)
            values[name] = _stored(entity, column, value)
        if entity.columns.get(COMPANY) is not None and COMPANY in values:
            values[COMPANY] = values[COMPANY].lower()
        return values

    def _complete(self, entity: Entity, values: Mapping[str, Any]) -> None:
        for name, column in entity.columns.items():
            if column.mandatory and not values[name]:
                raise faults.write_refused(
                    entity.name,
                    f"Warning: Field '{name}' must be filled in.",
                    f"Warning: validateWrite failed on data source '{entity.name}'",
                )
            if column.refers is not None and values[name] and not self._held(column, values):
                raise faults.write_refused(
                    entity.name,
                    f"Warning: The value '{values[name]}' in field '{name}' is not found in the related table "
                    f"'{column.refers[0]}'.",
                    f"Warning: validateField failed on field '{entity.name}.{name}'",
                )

    def _held(self, column: Column, values: Mapping[str, Any]) -> bool:
        assert column.refers is not None
        entity, other = column.refers
        wanted = values[column.name]
        told = wanted.casefold() if isinstance(wanted, str) else wanted
        found = self._rows[entity].where(f"{folded(other)} = ?", (told,))
        return any(row.values.get(COMPANY) == values.get(COMPANY) for row in found)

    def _number(self, entity: Entity, sequence: Sequence, values: Mapping[str, Any]) -> Any:
        scope = f"{values.get(COMPANY)}/{values[sequence.within] if sequence.within else ''}"
        number = self._numbers[entity.name + sequence.column, scope] = (
            self._numbers.get((entity.name + sequence.column, scope), 0) + 1
        )
        if entity.columns[sequence.column].kind in ("real", "int64", "int"):
            return number if sequence.within else int(sequence.form.format(number))
        return sequence.form.format(number)


def _alike(value: Any) -> str:
    return str(value).casefold()


def _stored(entity: Entity, column: Column, value: Any) -> Any:
    """A JSON value as the row keeps it; null is empty."""
    if value is None:
        return column.empty
    match column.kind, value:
        case "text", str():
            if len(value) > column.length:
                raise faults.write_refused(
                    entity.name, f"Warning: The value in field '{column.name}' is longer than {column.length}"
                )
            return value
        case "enum", str() if value in column.options:
            return value
        case (("real" | "int" | "int64"), int() | float() | Decimal()) if not isinstance(value, bool):
            return int(value) if value == int(value) else float(value)
        case "date", str():
            return f"{value[:10]}T12:00:00Z"
        case "moment", str():
            return value
    text = f"Cannot convert a value to target type '{column.type_name}' because of conversion error."
    raise faults.Fault(400, text, faults.ODATA_REFUSED)
