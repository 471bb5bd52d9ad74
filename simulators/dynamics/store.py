"""The rows (simulators/rows.py): a table each, with one version sequence for the whole organisation (dynamics.md §2).

Promises: those of rows.py; every put and every removal takes the next version; alternate keys stay unique, nulls excepted;
a row is a value.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from isthmus.simulators.bounds import Bound
from isthmus.simulators.dynamics import faults
from isthmus.simulators.dynamics.schema import Column, Table
from isthmus.simulators.dynamics.values import Reference, Value
from isthmus.simulators.rows import STAMP, TRUTH, Database, Form, Rows, folded, quoted

FIRST_VERSION = 5_000_000
NUMBER = Form(str, Decimal)
FORMS = {
    "money": NUMBER,
    "decimal": NUMBER,
    "bool": TRUTH,
    "datetime": Form(datetime.isoformat, datetime.fromisoformat),
    "lookup": Form(lambda value: f"{value.id}/{value.table}", lambda text: Reference(text[37:], text[:36])),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row at one version. `values` holds every column of its table that is not null, by logical name."""

    table: Table
    id: str
    version: int
    values: Mapping[str, Value]

    @property
    def etag(self) -> str:
        """`W/"version"`."""
        return f'W/"{self.version}"'

    def get(self, column: str) -> Value:
        """A column's value."""
        if column == self.table.primary_id:
            return self.id
        return self.version if column == "versionnumber" else self.values.get(column)


class Store:
    """All rows. Missing tables raise KeyError."""

    def __init__(self, tables: Mapping[str, Table], guid: Callable[[], str]) -> None:
        self.tables = tables
        self.new_id = guid
        self.audited: set[str] = set()
        self._database = Database(FIRST_VERSION)
        self.all_or_none = self._database.all_or_none
        self._rows = {name: self._table(one) for name, one in tables.items()}
        forms: dict[str, Form | None] = dict.fromkeys(("place", "table", "id"))
        self._graves = self._database.table("#deleted", "place", forms, lambda version, values: (values["id"], version))
        self._graves.index("version", quoted(STAMP))

    @property
    def version(self) -> int:
        """The version of the last change."""
        return self._database.stamp

    def skip(self) -> int:
        """The next version, for no row."""
        return self._database.next()

    def changes(self, *tables: str) -> object:
        """Another value whenever rows of these tables may be others than they were."""
        return [self._rows[table].changes for table in tables]

    def get(self, table: str, record_id: str) -> Row | None:
        """The row, or None."""
        return self._rows[table].get(record_id.lower())

    def all(self, table: str) -> list[Row]:
        """Every row, oldest first."""
        return self._rows[table].whole()

    def within(self, table: Table, bound: Bound | None) -> list[Row]:
        """The rows within a filter's bound, oldest first, and where that is not to be told, every row."""
        column = None if bound is None else table.by_wire_name(bound.column)
        if bound is None or column is None or column.secret or column.kind not in ("string", "guid", "lookup"):
            return self.all(table.name)
        key = quoted(column.name) if column.name == table.primary_id else _compared(column)
        return self._rows[table.name].any_of(key, bound.values)

    def ids(self, table: str) -> list[str]:
        """The id of every row, oldest first."""
        return self._rows[table].keys()

    def changed(self, table: str, since: int) -> list[Row]:
        """The rows whose version is above this one, by version."""
        return self._rows[table].since(since)

    def deleted(self, table: str, since: int) -> list[tuple[str, int]]:
        """The rows that are gone since this version, with the versions of their deletions."""
        return self._graves.where(f'"table" = ? AND {quoted(STAMP)} > ?', (table, since), order=quoted(STAMP))

    def find(self, table: str, values: Mapping[str, Value]) -> Row | None:
        """The row whose alternate key has these values; LookupError where the table has no such key."""
        definition = self.tables[table]
        for columns in definition.keys.values():
            if set(columns) == set(values):
                return self._holder(definition, columns, values)
        raise LookupError(f"{table} has no key of {', '.join(values)}")

    def put(self, table: Table, record_id: str, values: Mapping[str, Value]) -> Row:
        """Insert or replace under the next version."""
        present = {name: value for name, value in values.items() if value is not None}
        try:
            version = self._rows[table.name].put(record_id, present)
        except sqlite3.IntegrityError:
            raise self._taken(table, record_id, present) from None
        return Row(table, record_id, version, present)

    def forget(self, table: Table, record_id: str) -> None:
        """A row that is about to be made was never deleted."""
        grave = f"{table.name}/{record_id}"
        if grave in self._graves:
            self._graves.pop(grave)

    def remove(self, row: Row) -> None:
        """Take the row out. The sequence moves on, as a delete is a change like any other."""
        self._rows[row.table.name].pop(row.id)
        self._graves.put(f"{row.table.name}/{row.id}", {"table": row.table.name, "id": row.id})

    def add_column(self, table: Table, column: Column) -> None:
        """Null everywhere."""
        self._rows[table.name].add_column(column.name, FORMS.get(column.kind))

    def add_key(self, table: Table, name: str) -> bool:
        """Take the rows that are there into a new alternate key; False where two of them have the same values."""
        try:
            self._index(self._rows[table.name], table, name)
        except sqlite3.IntegrityError:
            return False
        return True

    def referring(self, target: Reference) -> Iterator[tuple[Row, Column]]:
        """The rows that refer to a row through a lookup that cares about its deletion."""
        for name, table in self.tables.items():
            for column in table.columns.values():
                if column.on_delete != "nothing":
                    yield from ((row, column) for row in self._rows[name].having(column.name, target))

    # -- inside

    def _table(self, table: Table) -> Rows[Row]:
        def told(version: int, values: dict[str, Any]) -> Row:
            record_id = values.pop(table.primary_id)
            return Row(table, record_id, version, {name: one for name, one in values.items() if one is not None})

        columns = (one for one in table.columns.values() if one.name != "versionnumber")
        rows = self._database.table(
            table.name, table.primary_id, {one.name: FORMS.get(one.kind) for one in columns}, told
        )
        rows.index("version", quoted(STAMP))
        for column in table.columns.values():
            if column.on_delete != "nothing":
                rows.index(f"to {column.name}", quoted(column.name))
        for name in table.keys:
            self._index(rows, table, name)
        return rows

    def _index(self, rows: Rows[Row], table: Table, name: str) -> None:
        rows.index(f"key {name}", *(_compared(table.columns[column]) for column in table.keys[name]), unique=True)

    def _taken(self, table: Table, record_id: str, values: Mapping[str, Value]) -> faults.Fault:
        for name, columns in table.keys.items():
            holder = self._holder(table, columns, values)
            if holder is not None and holder.id != record_id:
                return faults.taken(table.name, name, columns)
        raise LookupError(f"no key of {table.name} is taken")

    def _holder(self, table: Table, columns: tuple[str, ...], values: Mapping[str, Value]) -> Row | None:
        condition = " AND ".join(f"{_compared(table.columns[column])} = ?" for column in columns)
        found = self._rows[table.name].where(condition, [_comparable(values.get(column)) for column in columns])
        return found[0] if found else None


def _compared(column: Column) -> str:
    """What the database compares of a column in a key: text without regard to case, lookups by id, numbers as such."""
    if column.kind == "lookup":
        return f"substr({quoted(column.name)}, 1, 36)"
    if column.kind in ("money", "decimal"):
        return f"CAST({quoted(column.name)} AS REAL)"
    return folded(column.name)


def _comparable(value: Value) -> Any:
    if isinstance(value, Reference):
        return value.id
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return value.casefold() if isinstance(value, str) else value
