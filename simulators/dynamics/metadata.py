"""EntityDefinitions: tables, columns, choices and keys as clients ask for them (dynamics.md §6).

Promises: what is described here is what the tables' declarations (schema.py) say; ids are stable.
"""

from __future__ import annotations

import uuid
from typing import Any

from isthmus.simulators.dynamics import faults
from isthmus.simulators.dynamics.calls import Call, Reply, Segment, key_pairs, literal
from isthmus.simulators.dynamics.filters import parse_filter
from isthmus.simulators.dynamics.organization import Organization
from isthmus.simulators.dynamics.schema import Column, Table
from isthmus.simulators.dynamics.store import Store
from isthmus.simulators.dynamics.values import GUID

NAMESPACE = uuid.UUID("6f2a1c62-50b5-4bd3-9d3b-0d1f6c0e7a11")
ENGLISH = 1033
OF_A_TYPE = {"MaxLength", "MinValue", "MaxValue", "OptionSet", "Targets", "Format", "DateTimeBehavior"}
TYPES = {
    "string": ("String", "StringType"),
    "int": ("Integer", "IntegerType"),
    "bigint": ("BigInt", "BigIntType"),
    "decimal": ("Decimal", "DecimalType"),
    "money": ("Money", "MoneyType"),
    "bool": ("Boolean", "BooleanType"),
    "picklist": ("Picklist", "PicklistType"),
    "state": ("State", "StateType"),
    "status": ("Status", "StatusType"),
    "lookup": ("Lookup", "LookupType"),
    "datetime": ("DateTime", "DateTimeType"),
    "guid": ("Uniqueidentifier", "UniqueidentifierType"),
}


def answer(organization: Organization, path: list[Segment], call: Call) -> Reply:
    """GET below EntityDefinitions; `path` starts with that segment."""
    head, rest, store = path[0], path[1:], organization.store
    if head.key is None:
        return _list("EntityDefinitions", [definition(organization, table) for table in store.tables.values()], call)
    table = table_named(store, head.key)
    if not rest:
        return _single("EntityDefinitions", definition(organization, table), call)
    if rest[0].name == "Keys":
        return _list("Keys", [alternate_key(organization, table, name) for name in table.keys], call)
    if rest[0].name != "Attributes":
        raise faults.no_resource(rest[0].name)
    if rest[0].key is not None:
        return _single("Attributes", _shown(attribute(table, _column(table, rest[0].key)), call), call)
    return _list("Attributes", _attributes(table, rest[1].name if len(rest) > 1 else "", call), call)


def _attributes(table: Table, cast: str, call: Call) -> list[dict[str, Any]]:
    """A table's columns, or those of the type that is cast to; what only some types have is selected by a cast alone."""
    if not cast:
        for name in _names(call, "$select"):
            if name in OF_A_TYPE:
                raise faults.no_property("AttributeMetadata", name)
    every = [attribute(table, column) for column in table.columns.values()]
    return [_shown(one, call) for one in every if one["@odata.type"].endswith(cast)]


def _shown(one: dict[str, Any], call: Call) -> dict[str, Any]:
    """A choice's options are told only where they are asked for by `$expand`."""
    return {name: value for name, value in one.items() if name != "OptionSet" or name in _names(call, "$expand")}


def _names(call: Call, option: str) -> list[str]:
    return [one.partition("(")[0].strip() for one in call.query.get(option, "").split(",") if one.strip()]


def definition(organization: Organization, table: Table) -> dict[str, Any]:
    """A table's EntityMetadata."""
    return {
        "MetadataId": _id(table.name),
        "LogicalName": table.name,
        "SchemaName": table.name.capitalize(),
        "EntitySetName": table.collection,
        "LogicalCollectionName": table.collection,
        "PrimaryIdAttribute": table.primary_id,
        "PrimaryNameAttribute": table.primary_name,
        "ObjectTypeCode": table.type_code,
        "ChangeTrackingEnabled": table.name in organization.tracked,
        "IsAuditEnabled": {"Value": table.name in organization.store.audited},
        "IsCustomEntity": False,
        "IsPrivate": False,
        "DisplayName": _label(table.name.capitalize()),
    }


def attribute(table: Table, column: Column) -> dict[str, Any]:
    """A column's AttributeMetadata, with what its type adds."""
    short, type_name = TYPES[column.kind]
    found: dict[str, Any] = {
        "@odata.type": f"#Microsoft.Dynamics.CRM.{short}AttributeMetadata",
        "MetadataId": _id(f"{table.name}.{column.name}"),
        "LogicalName": column.name,
        "SchemaName": column.name,
        "EntityLogicalName": table.name,
        "AttributeType": short,
        "AttributeTypeName": {"Value": type_name},
        "IsPrimaryId": column.name == table.primary_id,
        "IsPrimaryName": column.name == table.primary_name,
        "IsValidForCreate": column.writable,
        "IsValidForUpdate": column.writable and column.name != table.primary_id,
        "IsValidForRead": not column.secret,
        "SourceType": column.source,
        "DisplayName": _label(column.name),
    }
    if column.kind == "datetime":
        found |= {"Format": "DateAndTime", "DateTimeBehavior": {"Value": "UserLocal"}}
    if column.kind == "string":
        found["MaxLength"] = column.max_length
    if column.kind == "int":
        found |= {"MinValue": column.low, "MaxValue": column.high}
    if column.is_choice:
        options = [{"Value": value, "Label": _label(text)} for value, text in column.options.items()]
        found["OptionSet"] = {"MetadataId": _id(f"{table.name}.{column.name}.options"), "Options": options}
    if column.targets:
        found["Targets"] = sorted(set(column.targets.values()))
    return found


def alternate_key(organization: Organization, table: Table, name: str) -> dict[str, Any]:
    """An alternate key's EntityKeyMetadata."""
    return {
        "MetadataId": _id(f"{table.name}/{name}"),
        "LogicalName": name,
        "SchemaName": name,
        "EntityLogicalName": table.name,
        "KeyAttributes": list(table.keys[name]),
        "EntityKeyIndexStatus": _status(organization, (table.name, name)),
        "DisplayName": _label(name),
    }


def _status(organization: Organization, key: tuple[str, str]) -> str:
    if key in organization.failed_keys:
        return "Failed"
    return "Pending" if key in organization.pending else "Active"


def table_named(store: Store, key: str) -> Table:
    """The table of a definition's key."""
    wanted = _named(key)
    for table in store.tables.values():
        if wanted in (table.name, _id(table.name)):
            return table
    raise faults.Fault(404, "0x80060888", f"Entity '{wanted}' was not found in the metadata cache.")


def _column(table: Table, key: str) -> Column:
    wanted = _named(key)
    for column in table.columns.values():
        if wanted in (column.name, _id(f"{table.name}.{column.name}")):
            return column
    raise faults.Fault(404, "0x80060888", f"Could not find attribute '{wanted}' on entity '{table.name}'.")


def _named(key: str) -> str:
    return key.lower() if GUID.fullmatch(key) else str(literal(key_pairs(key).get("LogicalName", "")))


def _list(context: str, items: list[dict[str, Any]], call: Call) -> Reply:
    if expression := call.query.get("$filter"):
        matches = parse_filter(expression).test
        items = [one for one in items if matches(lambda name, one=one: _property(one, name))]  # type: ignore[misc]
    body = {"@odata.context": f"{call.base}/$metadata#{context}", "value": [_selected(one, call) for one in items]}
    return Reply(200, {}, body)


def _single(context: str, item: dict[str, Any], call: Call) -> Reply:
    return Reply(200, {}, {"@odata.context": f"{call.base}/$metadata#{context}/$entity", **_selected(item, call)})


def _selected(item: dict[str, Any], call: Call) -> dict[str, Any]:
    names = _names(call, "$select")
    if not names:
        return item
    kept = {"@odata.type", "MetadataId", *names, *_names(call, "$expand")}
    return {name: value for name, value in item.items() if name in kept}


def _property(item: dict[str, Any], name: str) -> Any:
    if name not in item:
        raise faults.no_property("EntityMetadata", name)
    return item[name]


def _label(text: str) -> dict[str, Any]:
    label = {"Label": text, "LanguageCode": ENGLISH}
    return {"LocalizedLabels": [label], "UserLocalizedLabel": label}


def _id(name: str) -> str:
    return str(uuid.uuid5(NAMESPACE, name))
