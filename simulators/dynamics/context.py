"""The webhook's body: an event as a RemoteExecutionContext in DataContractJson (dynamics.md §1.4 to §1.6).

Promises: an Update's Target holds the submitted columns, what is computed from them, and the modification columns only;
no version number anywhere; over 256 KB the four large parts are left out. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from isthmus.simulators.dynamics.schema import Column, Table
from isthmus.simulators.dynamics.values import Reference, Value, formatted
from isthmus.simulators.dynamics.work import STATE_COLUMNS, Event

LARGEST_BODY = 256 * 1024
LEFT_OUT = ("ParentContext", "InputParameters", "PreEntityImages", "PostEntityImages")
CONTRACTS = "http://schemas.microsoft.com/xrm/2011/Contracts"
PAIR = "KeyValuePairOfstringstring:#System.Collections.Generic"
NOBODY = "00000000-0000-0000-0000-000000000000"
PLATFORM_STEP = "63cdbb1b-ea3e-db11-86a7-000a3a5473e8"
Bag = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a context says besides the row. `asynchronous` is Mode 1; `utc_offset` is the server's, in minutes, and
    shifts OperationCreatedOn the way the real one does; `tag_in_parent` leaves the tag to the ParentContext."""

    organization_id: str
    organization_name: str
    business_unit: str
    user_id: str
    correlation_id: str
    request_id: str
    operation_id: str
    step_id: str
    step_name: str
    asynchronous: bool
    created: datetime
    utc_offset: int = 0
    tag: str | None = None
    tag_in_parent: bool = False


def encode(context: Mapping[str, Any]) -> tuple[bytes, bool]:
    """The body as DataContractJson writes it (every slash escaped), and whether parts had to be left out."""
    body = _dump(context)
    if len(body) <= LARGEST_BODY:
        return body, False
    return _dump({name: value for name, value in context.items() if name not in LEFT_OUT}), True


def execution_context(event: Event, envelope: Envelope) -> dict[str, Any]:
    """The whole context of an event, its ParentContext included."""
    return {
        **_frame(event, envelope),
        "InputParameters": _bag(_merge_inputs(event) if event.subordinate else {"Target": _target(event)}),
        "OutputParameters": _bag({"id": event.row.id}) if event.message == "Create" else [],
        "OwningExtension": _owner(envelope.step_id, None if envelope.asynchronous else envelope.step_name),
        "ParentContext": _parent(event, envelope),
        "PostEntityImages": _images(event, envelope, "post"),
        "PreEntityImages": _images(event, envelope, "pre"),
        "SharedVariables": _shared(event, None if envelope.tag_in_parent else envelope.tag),
        "Stage": 40,
    }


def _frame(event: Event, envelope: Envelope) -> dict[str, Any]:
    return {
        "BusinessUnitId": envelope.business_unit,
        "CorrelationId": envelope.correlation_id,
        "Depth": 1,
        "InitiatingUserAgent": "",
        "InitiatingUserAzureActiveDirectoryObjectId": NOBODY,
        "InitiatingUserId": envelope.user_id,
        "InputParameters": [],
        "IsExecutingOffline": False,
        "IsInTransaction": not envelope.asynchronous,
        "IsOfflinePlayback": False,
        "IsolationMode": 1,
        "MessageName": event.message,
        "Mode": int(envelope.asynchronous),
        "OperationCreatedOn": _operation_date(envelope),
        "OperationId": envelope.operation_id,
        "OrganizationId": envelope.organization_id,
        "OrganizationName": envelope.organization_name,
        "OutputParameters": [],
        "OwningExtension": None,
        "ParentContext": None,
        "PostEntityImages": [],
        "PreEntityImages": [],
        "PrimaryEntityId": event.row.id,
        "PrimaryEntityName": event.row.table.name,
        "RequestId": envelope.request_id,
        "SecondaryEntityName": "none",
        "SharedVariables": [],
        "Stage": 40,
        "UserAzureActiveDirectoryObjectId": NOBODY,
        "UserId": envelope.user_id,
    }


def _parent(event: Event, envelope: Envelope) -> dict[str, Any]:
    inputs = _state_inputs(event) or {"Target": _submitted_target(event), "SuppressDuplicateDetection": False}
    step = (envelope.step_id, None) if envelope.asynchronous else (PLATFORM_STEP, "ObjectModel Implementation")
    changed = [{"__type": PAIR, "key": event.row.table.name, "value": "Update"}]
    shared = [] if event.message != "Update" else _bag({"ChangedEntityTypes": changed})
    return {
        **_frame(event, envelope),
        "InputParameters": _bag(inputs),
        "OwningExtension": _owner(*step),
        "SharedVariables": [*shared, *_shared(event, envelope.tag)],
        "Stage": 30,
    }


def _shared(event: Event, tag: str | None) -> Bag:
    defaults = {"IsAutoTransact": True, "DefaultsAddedFlag": True} if event.message == "Create" else {}
    return _bag({**defaults, **({} if tag is None else {"tag": tag})})


def _state_inputs(event: Event) -> dict[str, Any] | None:
    """A change of state arrives as Update beneath a SetState request (dynamics.md §1.6)."""
    if event.message != "Update" or not event.submitted or not set(event.submitted) <= STATE_COLUMNS:
        return None
    state, status = (_option(event.row.get(name)) for name in ("statecode", "statuscode"))
    return {"EntityMoniker": _reference(event.row.table.name, event.row.id), "State": state, "Status": status}


def _merge_inputs(event: Event) -> dict[str, Any]:
    row = event.row
    return {
        "Target": _reference(row.table.name, row.id),
        "SubordinateId": event.subordinate,
        "UpdateContent": _entity(row.table, row.id, event.submitted),
        "PerformParentingChecks": False,
    }


def _target(event: Event) -> dict[str, Any]:
    row, table = event.row, event.row.table
    if event.message == "Delete":
        return _reference(table.name, row.id)
    if event.message == "Create":
        shown = {**dict(event.submitted), **row.values, table.primary_id: row.id}
        return _entity(table, row.id, {**shown, "modifiedonbehalfby": row.get("modifiedonbehalfby")}, labels=True)
    computed = [name for name, sources in table.computed.items() if set(sources) & set(event.submitted)]
    state = STATE_COLUMNS & set(table.columns) if STATE_COLUMNS & set(event.submitted) else set()
    named = [*event.submitted, table.primary_id, *computed, *sorted(state - set(event.submitted))]
    touched = ("modifiedon", "modifiedby", "modifiedonbehalfby")
    shown = {name: row.get(name) for name in (*dict.fromkeys(named), *touched)}
    return _entity(table, row.id, shown, labels=bool(state))


def _submitted_target(event: Event) -> dict[str, Any]:
    row, table = event.row, event.row.table
    if event.message == "Delete":
        return _reference(table.name, row.id)
    return _entity(table, row.id, {**event.submitted, table.primary_id: row.id})


def _images(event: Event, envelope: Envelope, which: str) -> Bag:
    """The image that every asynchronous step gets by itself: the row's name. A deleted row has one from before."""
    if not envelope.asynchronous or (which == "pre") != (event.message == "Delete"):
        return []
    row, table = event.row, event.row.table
    image = _entity(table, row.id, {table.primary_name: row.get(table.primary_name), table.primary_id: row.id})
    return _bag({"AsynchronousStepPrimaryName": {key: value for key, value in image.items() if key != "__type"}})


def _entity(table: Table, record_id: str, values: Mapping[str, Value], *, labels: bool = False) -> dict[str, Any]:
    return {
        "__type": f"Entity:{CONTRACTS}",
        "Attributes": _bag({name: _contract(table.columns[name], value) for name, value in values.items()}),
        "EntityState": None,
        "FormattedValues": _labels(table, values) if labels else [],
        "Id": record_id,
        "KeyAttributes": [],
        "LogicalName": table.name,
        "RelatedEntities": [],
        "RowVersion": None,
    }


def _labels(table: Table, values: Mapping[str, Value]) -> Bag:
    shown = {name: formatted(table.columns[name], value) for name, value in values.items()}
    return _bag({name: label for name, label in shown.items() if label is not None})


def _contract(column: Column, value: Value) -> Any:
    if value is None:
        return None
    if isinstance(value, Reference):
        return _reference(value.table, value.id)
    if isinstance(value, datetime):
        return f"/Date({_milliseconds(value)})/"
    if isinstance(value, Decimal):
        return {"__type": f"Money:{CONTRACTS}", "Value": float(value)} if column.kind == "money" else float(value)
    return _option(value) if column.is_choice else value


def _option(value: Value) -> dict[str, Any]:
    return {"__type": f"OptionSetValue:{CONTRACTS}", "Value": value}


def _reference(table: str, record_id: str) -> dict[str, Any]:
    return {"__type": f"EntityReference:{CONTRACTS}", **_owner(record_id, None, table)}


def _owner(record_id: str, name: str | None, table: str = "sdkmessageprocessingstep") -> dict[str, Any]:
    return {"Id": record_id, "KeyAttributes": [], "LogicalName": table, "Name": name, "RowVersion": None}


def _operation_date(envelope: Envelope) -> str:
    """Milliseconds when synchronous; whole seconds with an offset, shifted by it, when not (dynamics.md §1.4)."""
    if not envelope.asynchronous:
        return f"/Date({_milliseconds(envelope.created)})/"
    shifted = envelope.created.replace(microsecond=0) - timedelta(minutes=envelope.utc_offset)
    hours, minutes = divmod(abs(envelope.utc_offset), 60)
    return f"/Date({_milliseconds(shifted)}{'-' if envelope.utc_offset < 0 else '+'}{hours:02d}{minutes:02d})/"


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _bag(values: Mapping[str, Any]) -> Bag:
    return [{"key": name, "value": value} for name, value in values.items()]


def _dump(context: Mapping[str, Any]) -> bytes:
    return orjson.dumps(dict(sorted(context.items()))).replace(b"/", b"\\/")
