"""What an environment says of a table's columns (EntityDefinitions; dynamics.md §6).

Promises: as systems/describing.py; what only columns of one type have is asked for only where a mapped column is of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.config.mapping import SystemMapping
from isthmus.systems.describing import Described, Kind
from isthmus.systems.dynamics.session import Session

SELECT = "LogicalName,AttributeType,IsValidForUpdate,IsValidForRead,SourceType"
KINDS: dict[str, Kind] = {
    "BigInt": "integer",
    "Boolean": "boolean",
    "Customer": "reference",
    "DateTime": "datetime",
    "Decimal": "number",
    "Double": "number",
    "Integer": "integer",
    "Lookup": "reference",
    "Memo": "string",
    "Money": "money",
    "Owner": "reference",
    "Picklist": "option",
    "State": "option",
    "Status": "option",
    "String": "string",
    "Uniqueidentifier": "reference",
}
# What has to be asked for by a cast: the query for columns of these types.
OPTIONS = "$select=LogicalName&$expand=OptionSet($select=Options)"
MORE = {
    "String": "$select=LogicalName,MaxLength",
    "Memo": "$select=LogicalName,MaxLength",
    "DateTime": "$select=LogicalName,DateTimeBehavior",
    "Picklist": OPTIONS,
    "State": OPTIONS,
    "Status": OPTIONS,
}
SOURCES = {1: "a calculation", 2: "a roll-up", 3: "a formula"}


async def describe(environment: Session, mapping: SystemMapping) -> dict[str, Described]:
    """The table's columns by name."""
    base = f"EntityDefinitions(LogicalName='{mapping.object}')/Attributes"
    told = await environment.get(f"{base}?$select={SELECT}")
    columns = {str(one["LogicalName"]): one for one in told.get("value", ())}
    mapped = {*mapping.columns, *mapping.written}
    more: dict[str, Mapping[str, Any]] = {}
    for kind in sorted(
        {str(one.get("AttributeType")) for name, one in columns.items() if name in mapped} & MORE.keys()
    ):
        answer = await environment.get(f"{base}/Microsoft.Dynamics.CRM.{kind}AttributeMetadata?{MORE[kind]}")
        more |= {str(one["LogicalName"]): one for one in answer.get("value", ())}
    return {name: _column(one, more.get(name, {})) for name, one in columns.items()}


def _column(told: Mapping[str, Any], more: Mapping[str, Any]) -> Described:
    kind = KINDS.get(str(told.get("AttributeType")), "other")
    if (more.get("DateTimeBehavior") or {}).get("Value") == "DateOnly":
        kind = "date"
    return Described(
        name=str(told["LogicalName"]),
        kind=kind,
        writable=bool(told.get("IsValidForUpdate", True)),
        readable=bool(told.get("IsValidForRead", True)),
        length=more.get("MaxLength"),
        options=_options(more) if kind == "option" else None,
        made_by=SOURCES.get(told.get("SourceType") or 0, ""),
    )


def _options(more: Mapping[str, Any]) -> dict[str, str] | None:
    if "OptionSet" not in more:
        return None
    listed = (more["OptionSet"] or {}).get("Options") or ()
    return {str(one["Value"]): _label(one.get("Label") or {}) for one in listed}


def _label(label: Mapping[str, Any]) -> str:
    return str((label.get("UserLocalizedLabel") or {}).get("Label", ""))
