"""The org's rows in SQLite, in memory: one table an object, live rows and those in the recycle bin together.

Promises: a value comes back as it went in; ids stay unique; what a rollback undoes was never there.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from isthmus.simulators.salesforce.schema import Field, Object

Row = dict[str, Any]
# Columns that every object has in queries and that change events never tell of (salesforce.md §1.8).
HIDDEN = ("IsDeleted", "MasterRecordId")


class Store:
    """All rows of all objects."""

    def __init__(self, objects: Mapping[str, Object]) -> None:
        # The server and a test's own thread may both come; never at once, for the org has no awaits.
        self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._booleans = {"IsDeleted"}
        for one in objects.values():
            self.add_object(one)

    def add_object(self, one: Object) -> None:
        """An object's table."""
        self._booleans.update(field.name for field in one.fields.values() if field.type == "boolean")
        columns = ", ".join(_quoted(name) for name in (*one.fields, *HIDDEN) if name != "Id")
        self._db.execute(f'CREATE TABLE "{one.name}" ("Id" PRIMARY KEY, {columns})')
        for field in one.fields.values():
            self._index(one.name, field)

    def add_field(self, object: str, field: Field) -> None:
        """A new column, null everywhere."""
        self._db.execute(f'ALTER TABLE "{object}" ADD COLUMN {_quoted(field.name)}')
        self._index(object, field)

    def _index(self, object: str, field: Field) -> None:
        if field.external_id:
            self._db.execute(f'CREATE INDEX "{object}.{field.name}" ON "{object}" ({_quoted(field.name)})')

    def live(self, one: str) -> Rows:
        """The rows that are not deleted, by id."""
        return Rows(self._db, one, self._booleans, deleted=False)

    def bin(self, one: str) -> Rows:
        """The recycle bin, by id."""
        return Rows(self._db, one, self._booleans, deleted=True)

    def select(self, sql: str, values: Sequence[Any]) -> list[Row]:
        """Rows of a query that soql.py made."""
        return list(_read(self._db.execute(sql, values), self._booleans))

    @contextlib.contextmanager
    def all_or_none(self) -> Iterator[None]:
        """What is done inside is undone where an exception leaves it."""
        self._db.execute("SAVEPOINT work")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK TO work")
            raise
        finally:
            self._db.execute("RELEASE work")


class Rows(MutableMapping[str, Row]):
    """An object's live rows, or those in its bin, as a mapping that writes through; a row that is got is a copy."""

    def __init__(self, db: sqlite3.Connection, name: str, booleans: set[str], *, deleted: bool) -> None:
        self._db, self._table, self._booleans, self._deleted = db, f'"{name}"', booleans, deleted
        self._where = f'"IsDeleted" = {int(deleted)}'

    def __getitem__(self, record_id: str) -> Row:
        for row in self._rows('AND "Id" = ?', (record_id,)):
            return row
        raise KeyError(record_id)

    def __setitem__(self, record_id: str, row: Mapping[str, Any]) -> None:
        values = {"MasterRecordId": None, **row, "Id": record_id, "IsDeleted": int(self._deleted)}
        names, places = ", ".join(map(_quoted, values)), ", ".join("?" * len(values))
        changes = ", ".join(f"{_quoted(name)} = excluded.{_quoted(name)}" for name in values if name != "Id")
        sql = f'INSERT INTO {self._table} ({names}) VALUES ({places}) ON CONFLICT ("Id") DO UPDATE SET {changes}'
        self._db.execute(sql, tuple(values.values()))

    def __delitem__(self, record_id: str) -> None:
        done = self._db.execute(f'DELETE FROM {self._table} WHERE {self._where} AND "Id" = ?', (record_id,))
        if not done.rowcount:
            raise KeyError(record_id)

    def __iter__(self) -> Iterator[str]:
        found = self._db.execute(f'SELECT "Id" FROM {self._table} WHERE {self._where} ORDER BY rowid').fetchall()
        return (record_id for (record_id,) in found)

    def __len__(self) -> int:
        (number,) = self._db.execute(f"SELECT COUNT(*) FROM {self._table} WHERE {self._where}").fetchone()
        return int(number)

    def whole(self) -> dict[str, Row]:
        """All of them at once, oldest first."""
        return {row["Id"]: row for row in self._rows("ORDER BY rowid", ())}

    def having(self, field: str, value: Any) -> list[str]:
        """Ids of the rows with this value in a field."""
        return [row["Id"] for row in self._rows(f"AND {_quoted(field)} = ?", (value,))]

    def _rows(self, more: str, values: Sequence[Any]) -> Iterator[Row]:
        cursor = self._db.execute(f"SELECT * FROM {self._table} WHERE {self._where} {more}", values)
        for row in _read(cursor, self._booleans):
            yield {name: value for name, value in row.items() if name not in HIDDEN}


def _read(cursor: sqlite3.Cursor, booleans: set[str]) -> Iterator[Row]:
    names = [column[0] for column in cursor.description]
    for values in cursor.fetchall():
        row = dict(zip(names, values, strict=True))
        yield {name: bool(value) if name in booleans and value is not None else value for name, value in row.items()}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
