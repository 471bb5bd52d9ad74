"""What stands below a row's address in the Web API: one column of it, or the rows that refer to it (dynamics.md §3.2).

Promises: as records.py; a null column is answered with nothing.
"""

from __future__ import annotations

from isthmus.simulators.dynamics import faults
from isthmus.simulators.dynamics.calls import Call, Reply
from isthmus.simulators.dynamics.payloads import found, read_body, read_key, show
from isthmus.simulators.dynamics.schema import Table
from isthmus.simulators.dynamics.store import Row, Store
from isthmus.simulators.dynamics.values import Reference
from isthmus.simulators.dynamics.work import Work


def read_below(store: Store, table: Table, key: str, name: str, call: Call) -> Reply:
    """GET of what a row's address and a name stand for."""
    return read_related(store, table, key, name, call) or read_column(store, table, key, name, call)


def read_related(store: Store, table: Table, key: str, name: str, call: Call) -> Reply | None:
    """GET of the rows that refer to a row, by the navigation property that lists them; None where there is none such."""
    for other in store.tables.values():
        for column in other.columns.values():
            if column.inverse.get(name) == table.name:
                one = found(store, table, read_key(table, key))
                rows = [row for row in store.all(other.name) if _refers(row, column.name, one)]
                shown = [show(row, call, call.query.get("$select")) for row in rows]
                return Reply(200, {}, {"@odata.context": f"{call.base}/$metadata#{other.collection}", "value": shown})
    return None


def _refers(row: Row, column: str, one: Row) -> bool:
    value = row.get(column)
    return isinstance(value, Reference) and (value.table, value.id) == (one.table.name, one.id)


def read_column(store: Store, table: Table, key: str, column: str, call: Call) -> Reply:
    """GET of one property; 204 where it is null."""
    if column not in table.columns:
        raise faults.no_resource(column)
    row = found(store, table, read_key(table, key))
    value = show(row, call, column).get(column)
    context = f"{call.base}/$metadata#{table.collection}({row.id})/{column}"
    return Reply(204) if value is None else Reply(200, {}, {"@odata.context": context, "value": value})


def put_column(work: Work, table: Table, key: str, column: str, call: Call) -> Reply:
    """PUT of one property: `{"value": …}`."""
    row = found(work.store, table, read_key(table, key))
    work.update(row, read_body(work.store, table, {column: call.json().get("value")}))
    return Reply(204)


def clear_column(work: Work, table: Table, key: str, column: str) -> Reply:
    """DELETE of one property, or of a lookup's `/$ref`: sets it to null."""
    named = table.by_navigation(column) or table.columns.get(column)
    if named is None:
        raise faults.no_resource(column)
    work.update(found(work.store, table, read_key(table, key)), {named.name: None})
    return Reply(204)
