"""The rows: in memory, by table and id, with one version sequence for the whole organisation (dynamics.md §2).

Promises: every put takes the next version; alternate keys stay unique, nulls excepted; a row is a value, so an old one
can be put back; `committed` shows nothing of a unit of work that is still under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.simulators.dynamics import faults
from isthmus.simulators.dynamics.schema import Column, Table
from isthmus.simulators.dynamics.values import Reference, Value, comparable

FIRST_VERSION = 5_000_000
Key = tuple[str, str, tuple[Any, ...]]


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
        self._rows: dict[str, dict[str, Row]] = {name: {} for name in tables}
        self._keys: dict[Key, str] = {}
        self.version = FIRST_VERSION
        self.audited: set[str] = set()
        self._graves: dict[str, dict[str, int]] = {name: {} for name in tables}
        self._hidden: dict[tuple[str, str], Row | None] = {}
        self._floors: list[int] = []

    def get(self, table: str, record_id: str) -> Row | None:
        """The row, or None."""
        return self._rows[table].get(record_id.lower())

    def all(self, table: str) -> list[Row]:
        """Every row, oldest first."""
        return list(self._rows[table].values())

    def ids(self, table: str) -> list[str]:
        """The id of every row, oldest first."""
        return list(self._rows[table])

    def committed(self, table: str) -> list[Row]:
        """Every row as others see it: what is not yet committed is not among them."""
        if not self._hidden:
            return self.all(table)
        rows: dict[str, Row | None] = {**self._rows[table]}
        rows |= {record_id: row for (name, record_id), row in self._hidden.items() if name == table}
        return [row for row in rows.values() if row is not None]

    def committed_row(self, table: str, record_id: str) -> Row | None:
        """A row as others see it."""
        key = (table, record_id.lower())
        return self._hidden[key] if key in self._hidden else self.get(table, record_id)

    def deleted(self, table: str) -> dict[str, int]:
        """The rows that are gone, with the version of their deletion."""
        return {one: at for one, at in self._graves[table].items() if (table, one) not in self._hidden}

    @property
    def settled_version(self) -> int:
        """No unit of work that is still under way has a version up to this one."""
        return min([self.version, *self._floors])

    def hide(self, before: Mapping[tuple[str, str], Row | None], floor: int) -> None:
        """Others still see these rows as they were; all versions of the unit of work are above `floor`."""
        for key, row in before.items():
            self._hidden.setdefault(key, row)
        self._floors.append(floor)

    def reveal(self, keys: Iterable[tuple[str, str]], floor: int) -> None:
        """The unit of work has ended."""
        for key in keys:
            self._hidden.pop(key, None)
        self._floors.remove(floor)

    def find(self, table: str, values: Mapping[str, Value]) -> Row | None:
        """The row whose alternate key has these values; LookupError where the table has no such key."""
        definition = self.tables[table]
        for name, columns in definition.keys.items():
            if set(columns) == set(values):
                held = self._keys.get((table, name, tuple(comparable(values[column]) for column in columns)))
                return None if held is None else self._rows[table][held]
        raise LookupError(f"{table} has no key of {', '.join(values)}")

    def put(self, table: Table, record_id: str, values: Mapping[str, Value]) -> Row:
        """Insert or replace under the next version."""
        present = {name: value for name, value in values.items() if value is not None}
        for key in self._keys_of(table, present):
            if self._keys.get(key, record_id) != record_id:
                raise faults.taken(table.name, key[1], table.keys[key[1]])
        self.version += 1
        row = Row(table, record_id, self.version, present)
        self._graves[table.name].pop(record_id, None)
        self._set(row)
        return row

    def remove(self, row: Row) -> None:
        """Take the row out. The sequence moves on, as a delete is a change like any other."""
        self.version += 1
        self._graves[row.table.name][row.id] = self.version
        self._drop(row)

    def restore(self, before: Row | None, after: Row | None) -> None:
        """Undo one change; does nothing where the row has been changed again since."""
        subject = before or after
        if subject is None or self.get(subject.table.name, subject.id) is not after:
            return
        if before is None:
            self._drop(subject)
        else:
            self._graves[before.table.name].pop(before.id, None)
            self._set(before)

    def index(self, table: Table, key: str) -> None:
        """Take the rows that are there into a new alternate key."""
        for row in self.all(table.name):
            self._keys.update((one, row.id) for one in self._keys_of(table, row.values) if one[1] == key)

    def referring(self, target: Reference) -> Iterator[tuple[Row, Column]]:
        """The rows that refer to a row through a lookup that cares about its deletion."""
        for name, table in self.tables.items():
            for column in table.columns.values():
                if column.on_delete != "nothing":
                    yield from ((row, column) for row in self.all(name) if row.values.get(column.name) == target)

    def _set(self, row: Row) -> None:
        self._forget_keys(self.get(row.table.name, row.id))
        self._rows[row.table.name][row.id] = row
        self._keys.update(dict.fromkeys(self._keys_of(row.table, row.values), row.id))

    def _drop(self, row: Row) -> None:
        self._forget_keys(row)
        del self._rows[row.table.name][row.id]

    def _forget_keys(self, row: Row | None) -> None:
        for key in [] if row is None else self._keys_of(row.table, row.values):
            self._keys.pop(key, None)

    @staticmethod
    def _keys_of(table: Table, values: Mapping[str, Value]) -> list[Key]:
        return [
            (table.name, name, tuple(comparable(values[column]) for column in columns))
            for name, columns in table.keys.items()
            if all(values.get(column) is not None for column in columns)
        ]
