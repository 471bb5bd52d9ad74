"""The records of an org: what people and programs do to them, and what REST finds of them. No I/O.

Promises: every write is told as the real org would tell it; a seed gives the same ids.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from isthmus.simulators.rows import Rows
from isthmus.simulators.salesforce import differences
from isthmus.simulators.salesforce.faults import refused
from isthmus.simulators.salesforce.ids import numbered, to18
from isthmus.simulators.salesforce.news import BROWSER_USER, UI, News
from isthmus.simulators.salesforce.rules import stored, validate
from isthmus.simulators.salesforce.schema import Object
from isthmus.simulators.salesforce.store import Row, Store

API_USER = "0055g00000ApiUserA"


class People(News):
    """The records, as people and programs see them. `hidden` are fields that no permission set shows to the API's user."""

    def __init__(self, objects: Iterable[Object], seed: int, clock: Callable[[], float]) -> None:
        super().__init__(seed, clock)
        self.objects = {one.name: one for one in objects}
        self.user_id = to18(API_USER[:15])
        self.hidden: set[tuple[str, str]] = set()
        self.store = Store(self.objects)
        self._rows, self._bin = self.store.live, self.store.bin
        self._purged: dict[str, dict[str, str]] = {name: {} for name in self.objects}
        self._ids = 0

    # -- what people do

    def create(self, object: str, fields: Mapping[str, Any], *, user: str = BROWSER_USER, origin: str = UI) -> str:
        """A new record; its id."""
        one = self.object(object)
        validate(one, fields, creating=True)
        now = self._now()
        row: Row = dict.fromkeys(one.fields)
        row.update({name: stored(value) for name, value in fields.items()})
        row |= {"Id": self._new_id(one), "CreatedDate": now, "CreatedById": to18(user[:15])}
        row |= {"LastModifiedDate": now, "LastModifiedById": to18(user[:15]), "SystemModstamp": now}
        self._rows[object].put(row["Id"], row)
        if object in ("PermissionSetAssignment", "FieldPermissions"):
            self._show()
        self._raise(one, row["Id"], "CREATE", self.transaction(user, origin), self._filled(row))
        return str(row["Id"])

    def update(
        self, object: str, record_id: str, fields: Mapping[str, Any], *, user: str = BROWSER_USER, origin: str = UI
    ) -> None:
        """Change fields; None clears. Where nothing differs only LastModifiedDate moves."""
        one, row = self.object(object), self.row(object, record_id)
        validate(one, fields, creating=False)
        changed = {n: stored(v) for n, v in fields.items() if stored(v) != row[n]}
        now, modifier = self._now(), to18(user[:15])
        extra: Row = {"LastModifiedDate": now}
        if row["LastModifiedById"] != modifier:
            extra["LastModifiedById"] = modifier
        self._rows[object].put(row["Id"], row | changed | extra | {"SystemModstamp": now})
        told = {name: differences.told(row[name], value) for name, value in changed.items()}
        self._raise(one, row["Id"], "UPDATE", self.transaction(user, origin), told | extra)

    def delete(self, object: str, record_id: str, *, user: str = BROWSER_USER, origin: str = UI) -> None:
        """Into the recycle bin, with what belongs to it."""
        one, row = self.object(object), self.row(object, record_id)
        for child, key in self._belonging(object, row["Id"], self._rows):
            self.delete(child, key, user=user, origin=origin)
        self._bin[object].put(row["Id"], self._rows[object].pop(row["Id"]) | {"SystemModstamp": self._now()})
        self._raise(one, row["Id"], "DELETE", self.transaction(user, origin), {})

    def merge(
        self, object: str, winner: str, losers: Sequence[str], *, user: str = BROWSER_USER, origin: str = UI
    ) -> None:
        """Merge at most two records into another, as people do in the browser: each loser goes into the recycle bin with
        its master, children come to the winner; all that is told is DELETE of each loser and UPDATE of the winner, in one
        transaction (salesforce.md §1.12)."""
        one, master, now = self.object(object), self.row(object, winner)["Id"], self._now()
        rows, transaction = [self.row(object, loser) for loser in losers], self.transaction(user, origin)
        for row in rows:
            for other, child in self.objects.items():
                for name in (n for n, field in child.fields.items() if field.refers_to == object):
                    for its in self._rows[other].having(name, row["Id"]):
                        self._rows[other].put(its["Id"], its | {name: master, "SystemModstamp": now})
            gone = self._rows[object].pop(row["Id"]) | {"SystemModstamp": now, "MasterRecordId": master}
            self._bin[object].put(row["Id"], gone)
            self._raise(one, row["Id"], "DELETE", transaction, {})
        kept = self._rows[object][master] | {"LastModifiedDate": now, "SystemModstamp": now}
        self._rows[object].put(master, kept)
        self._raise(one, master, "UPDATE", transaction, {"LastModifiedDate": now})

    def undelete(self, object: str, record_id: str, *, user: str = BROWSER_USER, origin: str = UI) -> None:
        """Out of it again."""
        one, key = self.object(object), to18(record_id)
        if key not in self._bin[object]:
            raise refused(404, "UNDELETE_FAILED", "entity is not in the recycle bin")
        row = self._bin[object].pop(key) | {"SystemModstamp": self._now()}
        self._rows[object].put(key, row)
        self._raise(one, key, "UNDELETE", self.transaction(user, origin), self._filled(row))
        for child, its in self._belonging(object, key, self._bin):
            self.undelete(child, its, user=user, origin=origin)

    def rows(self, object: str) -> dict[str, Row]:
        """The live rows by id."""
        return _by_id(self._rows[object])

    def deleted(self, object: str) -> dict[str, Row]:
        """The recycle bin by id; SystemModstamp is when a row went there."""
        return _by_id(self._bin[object])

    def ids(self, object: str) -> list[str]:
        """The ids of the live rows, oldest first."""
        return self._rows[object].keys()

    # -- what REST needs

    def object(self, name: str) -> Object:
        """An object by its name, with the fields that may be seen; 404 as REST answers."""
        if name not in self.objects:
            raise refused(404, "NOT_FOUND", "The requested resource does not exist")
        one = self.objects[name]
        hidden = {field for of, field in self.hidden if of == name}
        return replace(one, fields={n: f for n, f in one.fields.items() if n not in hidden}) if hidden else one

    def object_of(self, record_id: str) -> str:
        """The object whose key prefix an id has; 400 MALFORMED_ID."""
        for one in self.objects.values():
            if record_id.startswith(one.prefix) and len(record_id) in (15, 18):
                return one.name
        raise refused(400, "MALFORMED_ID", f"malformed id {record_id}")

    def row(self, object: str, record_id: str) -> Row:
        """A live row, not to be changed; 404 as REST answers."""
        key = to18(record_id)
        if len(key) != 18 or not key.isalnum():
            raise refused(400, "MALFORMED_ID", f"{object} ID: id value of incorrect type: {record_id}", ("Id",))
        if key in self._bin[object]:
            raise refused(404, "ENTITY_IS_DELETED", "entity is deleted")
        if key not in self._rows[object]:
            raise refused(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible")
        return self._rows[object][key]

    def matching(self, object: str, field: str, value: str) -> list[str]:
        """Ids of the rows whose external id is this."""
        spec = self.object(object).fields.get(field)
        if spec is None or not spec.external_id:
            raise refused(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible")
        return self.matching_any(object, field, value)

    def matching_any(self, object: str, field: str, value: Any) -> list[str]:
        """Ids of the rows with this value in any field."""
        return [str(row["Id"]) for row in self._rows[object].having(field, value)]

    def deletions(self, object: str) -> dict[str, str]:
        """When each deleted row was deleted, purged ones too."""
        self.object(object)
        found = {str(row["Id"]): str(row["SystemModstamp"]) for row in self._bin[object].whole()}
        return self._purged[object] | found

    @contextlib.contextmanager
    def all_or_none(self) -> Iterator[None]:
        """What is written inside is undone, its events too, where an exception leaves it."""
        told = self._told()
        try:
            with self.store.all_or_none():
                yield
        except BaseException:
            self._untell(told)
            raise

    # -- inside

    def _belonging(self, object: str, key: str, where: Mapping[str, Rows[Row]]) -> list[tuple[str, str]]:
        """Records, with their objects, that are deleted and undeleted with this one."""
        return [
            (child.name, str(row["Id"]))
            for child in self.objects.values()
            for field in child.fields.values()
            if field.cascades and field.refers_to == object
            for row in where[child.name].having(field.name, key)
        ]

    def _show(self) -> None:
        """Fields become visible by the permissions of the sets that the API's user has."""
        assigned = self._rows["PermissionSetAssignment"].whole()
        sets = {row["PermissionSetId"] for row in assigned if row["AssigneeId"] == self.user_id}
        for row in self._rows["FieldPermissions"].whole():
            if row["ParentId"] in sets and row["PermissionsRead"]:
                self.hidden.discard((row["SobjectType"], row["Field"].partition(".")[2]))

    def _new_id(self, one: Object) -> str:
        self._ids += 1
        return numbered(one.prefix, self._ids)

    def _now(self) -> str:
        return datetime.fromtimestamp(int(self.clock()), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def _filled(self, row: Row) -> Row:
        hidden = ("Id", "SystemModstamp")
        return {name: value for name, value in row.items() if value is not None and name not in hidden}


def _by_id(rows: Rows[Row]) -> dict[str, Row]:
    """Copies, as whoever asks may do with them what they like."""
    return {row["Id"]: dict(row) for row in rows.whole()}
