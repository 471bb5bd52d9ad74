"""The org's rows (simulators/rows.py): one table an object, live rows and those in the recycle bin together.

Promises: those of rows.py; ids stay unique, deleted or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.simulators.rows import TRUTH, Database, Form, Rows, quoted
from isthmus.simulators.salesforce.schema import Field, Object

Row = dict[str, Any]
# Columns that every object has in queries and that change events never tell of (salesforce.md §1.8).
HIDDEN: Mapping[str, Form | None] = {"IsDeleted": TRUTH, "MasterRecordId": None}


class Store:
    """All rows of all objects."""

    def __init__(self, objects: Mapping[str, Object]) -> None:
        self._database = Database()
        self.all_or_none = self._database.all_or_none
        self._every: dict[str, Rows[Row]] = {}
        for one in objects.values():
            self._add_object(one)
        self.live = {name: rows.among(IsDeleted=False) for name, rows in self._every.items()}
        self.bin = {name: rows.among(IsDeleted=True) for name, rows in self._every.items()}

    def add_field(self, object: str, field: Field) -> None:
        """A new column, null everywhere."""
        self._every[object].add_column(field.name, _form(field))
        self._index(object, field)

    def select(self, object: str, sql: str, values: Sequence[Any]) -> list[Row]:
        """Rows of a query that soql.py made."""
        return self._every[object].select(sql, values)

    def _add_object(self, one: Object) -> None:
        forms = {**{field.name: _form(field) for field in one.fields.values()}, **HIDDEN}
        self._every[one.name] = self._database.table(one.name, "Id", forms, _seen)
        for field in one.fields.values():
            self._index(one.name, field)

    def _index(self, object: str, field: Field) -> None:
        if field.external_id or field.refers_to:
            self._every[object].index(field.name, quoted(field.name))


def _form(field: Field) -> Form | None:
    return TRUTH if field.type == "boolean" else None


def _seen(stamp: int, values: Row) -> Row:
    return {name: value for name, value in values.items() if name not in HIDDEN}
