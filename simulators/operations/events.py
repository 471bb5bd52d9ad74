"""What an environment tells of: business events and data events, as they stand on the wire (dynamics.md §5.1, §5.2).

Promises: no I/O; control numbers rise and have gaps; a data event goes through Dataverse, so it is a
RemoteExecutionContext with the few fields that a real one had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from isthmus.simulators.operations.schema import NO_DATE, NO_MOMENT, Column
from isthmus.simulators.operations.store import Row

CONTRACTS = "http://schemas.microsoft.com/xrm/2011/Contracts"
MESSAGES = {"create": "OnExternalCreated", "update": "OnExternalUpdated", "delete": "OnExternalDeleted"}
FIRST_OPTION = 200_000_000
NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events go: the URL, key and all, stands in a key vault."""

    url: str


@dataclass(frozen=True, slots=True)
class Posting:
    """An event on its way to an endpoint."""

    endpoint: Endpoint
    name: str
    body: bytes


def business_event(
    name: str, payload: Mapping[str, Any], *, company: str, control: int, event_id: str, user: str, at: datetime
) -> bytes:
    """The envelope and the flat fields of its contract."""
    told = {
        "BusinessEventId": name,
        "ControlNumber": control,
        "EventId": event_id,
        "EventTime": date(at),
        "InitiatingUserAADObjectId": f"{{{user.upper()}}}",
        "LegalEntity": company,
        "MajorVersion": 0,
        "MinorVersion": 0,
        "ParentContextRecordSubjects": None,
        **payload,
    }
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def data_event(
    message: str, row: Row, before: Mapping[str, Any] | None, user: str, correlation: str, at: datetime
) -> bytes:
    """The row's columns as a virtual row's attributes; what is gone is a reference, with the row before it went."""
    logical = f"mserp_{row.entity.name.lower()}"
    known = {"Id": virtual_id(row), "LogicalName": logical}
    target: dict[str, Any] = (
        {"__type": f"EntityReference:{CONTRACTS}", **known, "KeyAttributes": [], "Name": None, "RowVersion": None}
        if message == "delete"
        else {"__type": f"Entity:{CONTRACTS}", "Attributes": _attributes(row, row.values), **known}
    )
    inputs = [{"key": "Target", "value": target}]
    if before is not None:
        image = {"__type": f"Entity:{CONTRACTS}", "Attributes": _attributes(row, before), **known}
        inputs.append({"key": "PreImage", "value": image})
    context = {
        "CorrelationId": correlation,
        "InitiatingUserAzureActiveDirectoryObjectId": user,
        "InputParameters": inputs,
        "MessageName": MESSAGES[message],
        "OperationCreatedOn": f"{date(at)[:-2]}+0000)/",
        "PrimaryEntityId": NOBODY,
        "PrimaryEntityName": logical,
    }
    return orjson.dumps(context)


def date(at: datetime) -> str:
    """`/Date(ms)/`."""
    return f"/Date({int(at.timestamp() * 1000)})/"


def virtual_id(row: Row) -> str:
    """The GUID of the virtual row: table and record number in disguise."""
    digits = f"{row.number:016x}"
    return f"00004951-0000-0000-{digits[:4]}-{digits[4:]}"


def _attributes(row: Row, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Dates that are not set are left out."""
    return [
        {"key": f"mserp_{name.lower()}", "value": _attribute(column, values[name])}
        for name, column in row.entity.columns.items()
        if values[name] not in (NO_DATE, NO_MOMENT)
    ]


def _attribute(column: Column, value: Any) -> Any:
    if column.kind == "enum":
        return {"__type": f"OptionSetValue:{CONTRACTS}", "Value": FIRST_OPTION + column.options.index(value)}
    if column.kind in ("date", "moment"):
        return date(datetime.fromisoformat(value).astimezone(UTC))
    return value
