"""Web API JSON and rows: request bodies to column values, keys to rows, rows to the JSON that reads show.

Promises: money and numbers stay exact on the way in; lookups are bound and shown as dynamics.md §3 has them; columns
that the platform keeps to itself are ignored in bodies, unknown ones refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from isthmus.simulators.dynamics import faults
from isthmus.simulators.dynamics.calls import Call, key_pairs, literal, segments, split_target
from isthmus.simulators.dynamics.schema import Table
from isthmus.simulators.dynamics.store import Row, Store
from isthmus.simulators.dynamics.values import GUID, Reference, Value, comparable, formatted, parse, to_json

DISPLAY = "OData.Community.Display.V1.FormattedValue"
LOOKUP_TABLE = "Microsoft.Dynamics.CRM.lookuplogicalname"
Key = str | dict[str, Value]


def read_key(table: Table, key: str) -> Key:
    """The id, lower case, or the values of an alternate key."""
    if GUID.fullmatch(key):
        return key.lower()
    pairs = key_pairs(key)
    if set(pairs) == {table.primary_id}:
        return read_key(table, str(literal(pairs[table.primary_id])))
    values: dict[str, Value] = {}
    for name, written in pairs.items():
        column = table.by_wire_name(name)
        if column is None:
            raise faults.no_property(table.name, name)
        value = literal(written)
        target = next(iter(column.targets.values()), "")
        values[column.name] = Reference(target, str(value).lower()) if column.targets else parse(table, column, value)
    if set(values) not in [set(columns) for columns in table.keys.values()]:
        raise faults.Fault(400, "0x8006088f", "The key in the request URI is not valid for resource.")
    return values


def find(store: Store, table: Table, key: Key) -> Row | None:
    """The row of a key."""
    return store.get(table.name, key) if isinstance(key, str) else store.find(table.name, key)


def found(store: Store, table: Table, key: Key) -> Row:
    """The row of a key, or the Fault for a missing one."""
    row = find(store, table, key)
    if row is None:
        raise faults.missing_id(table.name, key) if isinstance(key, str) else faults.missing_key(table.name)
    return row


def read_body(store: Store, table: Table, body: Mapping[str, Any]) -> dict[str, Value]:
    """The columns that a body sets. The primary key is left out."""
    values: dict[str, Value] = {}
    for name, value in body.items():
        bound = name.removesuffix("@odata.bind")
        if bound != name:
            values.update(_bind(store, table, bound, value))
        elif "@" not in name and name != table.primary_id:
            values.update(_column(table, name, value))
    return values


def show(row: Row, call: Call, select: str | None) -> dict[str, Any]:
    """A row as a read shows it: $select's columns, or all, with its ETag and id."""
    table = row.table
    names = [one.strip() for one in (select or "").split(",") if one.strip()]
    columns = [_selected(table, name) for name in names] if names else list(table.columns)
    annotated = call.preference("odata.include-annotations")
    shown: dict[str, Any] = {"@odata.etag": row.etag}
    for name in dict.fromkeys([*columns, table.primary_id]):
        column = table.columns[name]
        if not column.secret:
            shown[column.wire_name] = to_json(row.get(name))
            shown.update(_annotations(row, name, annotated))
    return shown


def value_of(row: Row, wire_name: str) -> Any:
    """A value by its Web API name, for filters; Fault for a column that is not there."""
    column = row.table.by_wire_name(wire_name)
    if column is None or column.secret:
        raise faults.no_property(row.table.name, wire_name)
    return row.get(column.name)


def table_of_collection(store: Store, collection: str) -> Table:
    """The table of an entity set name."""
    for table in store.tables.values():
        if table.collection == collection:
            return table
    raise faults.no_resource(collection)


def resolve(store: Store, uri: str) -> tuple[Table, Key]:
    """`/accounts(…)`, `accounts(…)` or an absolute URL."""
    path = split_target(uri)[0] if "/api/data/" in uri else unquote(uri.lstrip("/"))
    parts = segments(path)
    if len(parts) != 1 or parts[0].key is None:
        raise faults.invalid(f"The URI '{uri}' is not valid.")
    table = table_of_collection(store, parts[0].name)
    return table, read_key(table, parts[0].key)


def same_key(table: Table, key: Mapping[str, Value], values: Mapping[str, Value]) -> bool:
    """Does a body repeat the key's own values (or leave them out)?"""
    return all(comparable(values.get(name, value)) == comparable(value) for name, value in key.items())


def _column(table: Table, name: str, value: Any) -> dict[str, Value]:
    navigation = table.by_navigation(name)
    if navigation is not None and value is None:
        return {navigation.name: None} if navigation.writable else {}
    column = table.columns.get(name)
    if name.startswith("_") or (column is not None and column.kind == "lookup"):
        text = "CRM do not support direct update of Entity Reference properties, Use Navigation properties instead."
        raise faults.payload(table.collection, text)
    if column is None:
        text = f"An undeclared property '{name}' which only has property annotations in the payload but no property "
        raise faults.payload(table.collection, text + "value was found in the payload.")
    return {name: parse(table, column, value)} if column.writable else {}


def _bind(store: Store, table: Table, navigation: str, uri: Any) -> dict[str, Value]:
    column = table.by_navigation(navigation)
    if column is None:
        raise faults.payload(table.collection, f"An undeclared property '{navigation}' was found in the payload.")
    if uri is None:
        return {column.name: None}
    target, key = resolve(store, str(uri))
    if target.name != column.targets[navigation]:
        raise faults.invalid(f"'{navigation}' does not refer to {target.name}.")
    return {column.name: Reference(target.name, found(store, target, key).id)}


def _selected(table: Table, name: str) -> str:
    column = table.by_wire_name(name)
    if column is None:
        raise faults.no_property(table.name, name)
    return column.name


def _annotations(row: Row, name: str, wanted: str | None) -> dict[str, str]:
    column, value = row.table.columns[name], row.get(name)
    found: dict[str, str] = {}
    if wanted in ("*", DISPLAY) and (label := formatted(column, value)) is not None and column.kind != "bigint":
        found[f"{column.wire_name}@{DISPLAY}"] = label
    if wanted in ("*", LOOKUP_TABLE) and isinstance(value, Reference):
        found[f"{column.wire_name}@{LOOKUP_TABLE}"] = value.table
    return found
