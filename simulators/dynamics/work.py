"""One unit of work on the rows: creates, updates and deletes by one user, with the events they raise.

Promises: done again, it gives the same ids and times; events are in the order they happened; `modifiedon` has whole seconds
(dynamics.md §1.4). Whether the rows stay so is for the transaction around it (store.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from isthmus.simulators.dynamics import faults
from isthmus.simulators.dynamics.schema import Column, Table
from isthmus.simulators.dynamics.store import Row, Store
from isthmus.simulators.dynamics.values import Reference, Value

Message = Literal["Create", "Update", "Delete", "Merge"]
DELETED = 3
STATE_COLUMNS = frozenset({"statecode", "statuscode"})


@dataclass(frozen=True, slots=True)
class Actor:
    """Who writes, and the request's `?tag=` and correlation id."""

    user_id: str
    business_unit: str
    currency: str
    tag: str | None = None
    correlation: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to one row. `submitted`: the columns that the caller named; `row`: the row after, or, for a
    delete, before; `subordinate`: the loser of a merge."""

    message: Message
    row: Row
    submitted: Mapping[str, Value]
    at: datetime
    subordinate: str | None = None


class Work:
    """Changes that hold together. Values are stored forms (values.py)."""

    def __init__(self, store: Store, actor: Actor, at: datetime, locked: Set[str] = frozenset()) -> None:
        self.store = store
        self.actor = actor
        self.at = at
        self.locked = locked
        self.events: list[Event] = []
        self._ids: list[str] = []
        self._made = 0

    def again(self) -> None:
        """All of it is about to be done once more, the first time having been rolled back."""
        self.events.clear()
        self._made = 0

    def create(self, table: Table, submitted: Mapping[str, Value], record_id: str | None = None) -> Row:
        """A new row; Fault 412 where the id or an alternate key is taken."""
        own = record_id or self._new_id()
        if record_id is not None:
            if self.store.get(table.name, own) is not None:
                raise faults.Fault(412, "0x80040237")
            self.store.forget(table, own.lower())
        defaults = {name: column.default for name, column in table.columns.items() if column.default is not None}
        values = {**defaults, **self._born(table), **submitted}
        return self._put("Create", table, own.lower(), values, submitted)

    def update(self, row: Row, submitted: Mapping[str, Value]) -> Row:
        """The row with these columns changed."""
        current = self.store.get(row.table.name, row.id)
        if current is None:
            raise faults.missing_id(row.table.name, row.id)
        self._hold(row)
        values = {**current.values, **self._touched(row.table), **submitted}
        return self._put("Update", row.table, row.id, values, submitted)

    def delete(self, row: Row) -> None:
        """Delete the row, and what its relationships say of the rows that refer to it."""
        self._hold(row)
        self.store.remove(row)
        self._raise("Delete", row, {})
        if row.table.name in self.store.audited:
            self._audit(row)
        for child, column in list(self.store.referring(Reference(row.table.name, row.id))):
            if column.on_delete == "cascade":
                current = self.store.get(child.table.name, child.id)
                if current is not None and current.version == child.version:
                    self.delete(child)
            else:
                self.update(child, {column.name: None})

    def merge(self, winner: Row, loser: Row, content: Mapping[str, Value]) -> None:
        """The loser is deactivated and names its master, what referred to it refers to the winner (dynamics.md §3.6)."""
        old, new = (Reference(row.table.name, row.id) for row in (loser, winner))
        for child, column in list(self.store.referring(old)):
            self.update(child, {column.name: new})
        self.update(loser, {"statecode": 1, "statuscode": 2, "merged": True, "masterid": new})
        after = self.update(winner, content) if content else winner
        self.events.append(Event("Merge", after, content, self.at, loser.id))

    def _audit(self, row: Row) -> None:
        """What stays of a deletion where the table is audited."""
        about: dict[str, Value] = {"_objectid_value": row.id, "objecttypecode": row.table.name, "operation": DELETED}
        self.create(self.store.tables["audit"], about)

    def _hold(self, row: Row) -> None:
        if row.id in self.locked:
            raise faults.locked(row.table.name, row.id)

    def _new_id(self) -> str:
        if self._made == len(self._ids):
            self._ids.append(self.store.new_id())
        self._made += 1
        return self._ids[self._made - 1]

    def _put(
        self,
        message: Message,
        table: Table,
        record_id: str,
        values: Mapping[str, Value],
        submitted: Mapping[str, Value],
    ) -> Row:
        row = self.store.put(table, record_id, _derived(table, values, submitted))
        for part in _parts(submitted) if message == "Update" else [submitted]:
            self._raise(message, row, part)
        return row

    def _raise(self, message: Message, row: Row, submitted: Mapping[str, Value]) -> None:
        if not row.table.internal:
            self.events.append(Event(message, row, submitted, self.at))

    def _born(self, table: Table) -> dict[str, Value]:
        if table.internal:
            return {"createdon": self.at} if "createdon" in table.columns else {}
        user = Reference("systemuser", self.actor.user_id)
        unit = Reference("businessunit", self.actor.business_unit)
        born: dict[str, Value] = {"createdon": self.at, "createdby": user, "ownerid": user, "owningbusinessunit": unit}
        if "transactioncurrencyid" in table.columns:
            born |= {"transactioncurrencyid": Reference("transactioncurrency", self.actor.currency)}
            born |= {"exchangerate": Decimal("1.0")}
        return {**born, **self._touched(table)}

    def _touched(self, table: Table) -> dict[str, Value]:
        if table.internal:
            return {}
        return {"modifiedon": self.at, "modifiedby": Reference("systemuser", self.actor.user_id)}


def _parts(submitted: Mapping[str, Value]) -> list[Mapping[str, Value]]:
    """An update that mixes state or owner with other columns is two or three events (dynamics.md §1.6)."""
    state = {name: value for name, value in submitted.items() if name in STATE_COLUMNS}
    owner = {name: value for name, value in submitted.items() if name == "ownerid"}
    others = {name: value for name, value in submitted.items() if name not in state and name not in owner}
    return [part for part in (others, owner, state) if part] or [submitted]


def _derived(table: Table, values: Mapping[str, Value], submitted: Mapping[str, Value]) -> dict[str, Value]:
    derived = dict(values)
    for name, sources in table.computed.items():
        derived[name] = " ".join(str(values[one]) for one in sources if values.get(one)) or None
    for column in table.columns.values():
        if column.twin_of:
            derived[column.name] = values.get(column.twin_of)
        if column.kind == "status":
            derived[column.name] = _status(table, column, derived, submitted)
    return derived


def _status(table: Table, column: Column, values: Mapping[str, Value], submitted: Mapping[str, Value]) -> Value:
    """The status given, or the first of the state where only that was given."""
    state, status = values.get("statecode"), values.get(column.name)
    if column.states.get(status) == state:  # type: ignore[arg-type]
        return status
    if column.name in submitted:
        message = f"{status} is not a valid status code for state code {table.name}State.{state} on {table.name}."
        raise faults.Fault(400, "0x80048408", message)
    return next((one for one, of in column.states.items() if of == state), status)
