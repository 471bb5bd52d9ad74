"""Dynamics webhooks and F&O data events (RemoteExecutionContext), to changes (dynamics.md §1.3 to §1.6, §5.2).

Promises: pure; only `MessageName` and a record are needed, unknown fields are ignored; the change id is the same on
every delivery. A webhook has no version and its times are for display: it is a hint at a record, not the truth.

What counts as touched: a null attribute was cleared, an absent one not touched. A body that was cut for its size
(§1.3), and a message that only names records, give changes without fields: read the record. A message that touches
several records gives a change for each: the rows of `Targets`, both ends of an Associate, winner and loser of a Merge.

`origin` is the shared variable `tag` that a writer gave its request, here or in what caused this (§3.7), else the id of
the user who began it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isthmus.codecs.change import Change, Operation, Value
from isthmus.codecs.dynamics_values import (
    NOBODY,
    Bag,
    Placed,
    attributes_of,
    bag_of,
    date_of,
    guid_of,
    needed_guid,
    plain_of,
)
from isthmus.codecs.exact import parse
from isthmus.config.errors import DecodeError

SYSTEM = "dynamics"
OPERATIONS: Mapping[str, Operation] = {
    "create": "create",
    "createmultiple": "create",
    "onexternalcreated": "create",
    "delete": "delete",
    "deletemultiple": "delete",
    "onexternaldeleted": "delete",
}
USERS = ("InitiatingUserId", "UserId", "InitiatingUserAzureActiveDirectoryObjectId")
STATE = {"State": "statecode", "Status": "statuscode"}


def decode(message: bytes | dict[str, Any]) -> list[Change]:
    """The changes that a webhook body tells of; none where the message is about no record.

    Raises DecodeError naming the place, such as `InputParameters[0].value.Attributes[3].value`.
    """
    context = parse(message) if isinstance(message, bytes) else message
    if not isinstance(context, dict):
        raise DecodeError("a webhook's body is an object")
    if not isinstance(context.get("MessageName"), str) or not context["MessageName"]:
        raise DecodeError("is missing", place="MessageName")
    try:
        return [_change(context, touched) for touched in _touched(context)]
    except RecursionError as fault:
        raise DecodeError("nested too deeply") from fault


def merged_into(body: bytes) -> str | None:
    """The winner of a Merge message; None of any other, and where it names none."""
    if b"Merge" not in body:
        return None
    context = parse(body)
    if not isinstance(context, dict) or str(context.get("MessageName")).lower() != "merge":
        return None
    inputs = bag_of(context.get("InputParameters"), "InputParameters")
    return next((_record_id(record, None) for record in _records(inputs.get("Target"))), None)


# -- which records


@dataclass(frozen=True, slots=True)
class _Touched:
    entity: str
    record_id: str
    values: Mapping[str, Value]


def _touched(context: Mapping[str, Any]) -> Iterator[_Touched]:
    inputs = bag_of(context.get("InputParameters"), "InputParameters")
    count = 0
    for touched in _named(context, inputs):
        count += 1
        yield touched
    primary = guid_of(context.get("PrimaryEntityId"))
    if count == 0 and primary not in (None, NOBODY):
        yield _Touched(_entity_name(context, {}), str(primary), {})
    elif count == 0 and (primary is None or not inputs):
        raise DecodeError("names no record", place="PrimaryEntityId")


def _named(context: Mapping[str, Any], inputs: Bag) -> Iterator[_Touched]:
    """The records that the message's parameters name; `EntityMoniker` is SetState's target (dynamics.md §1.6)."""
    for name in ("Target", "Targets", "EntityMoniker", "RelatedEntities"):
        for record in _records(inputs.get(name)):
            instead = context.get("PrimaryEntityId") if name in ("Target", "EntityMoniker") else None
            entity, record_id = _entity_name(context, record.found), _record_id(record, instead)
            yield _Touched(entity, record_id, {**attributes_of(record), **_beside(name, inputs)})
    if "SubordinateId" in inputs:
        loser = inputs["SubordinateId"]
        yield _Touched(_entity_name(context, _given(inputs.get("Target"))), needed_guid(loser), {})


def _records(parameter: Placed | None) -> Iterator[Placed]:
    """The entities or references of a parameter: one, an array, or a collection."""
    if parameter is None or parameter.found is None:
        return
    found, place = parameter.found, parameter.place
    if isinstance(found, Mapping) and isinstance(found.get("Entities"), list):
        found, place = found["Entities"], f"{place}.Entities"
    for number, one in enumerate(found if isinstance(found, list) else [found]):
        at = f"{place}[{number}]" if isinstance(found, list) else place
        if not isinstance(one, Mapping):
            raise DecodeError("is neither an entity nor a reference", place=at)
        yield Placed(one, at)


def _beside(name: str, inputs: Bag) -> dict[str, Value]:
    """What a message sets outside its target: a SetState's new state, what a Merge writes to the winner."""
    if name == "EntityMoniker":
        return {STATE[n]: plain_of(inputs[n].found, inputs[n].place) for n in STATE if n in inputs}
    if name == "Target" and isinstance(_given(inputs.get("UpdateContent")), Mapping):
        return attributes_of(inputs["UpdateContent"])
    return {}


def _given(parameter: Placed | None) -> Any:
    return parameter.found if parameter is not None else None


def _entity_name(context: Mapping[str, Any], record: Any) -> str:
    own = record.get("LogicalName") if isinstance(record, Mapping) else None
    for name in (own, context.get("PrimaryEntityName")):
        if isinstance(name, str) and name not in ("", "none"):
            return name
    raise DecodeError("names no table", place="PrimaryEntityName")


def _record_id(record: Placed, instead: Any) -> str:
    """The record's own id, which F&O does not repeat as PrimaryEntityId (dynamics.md §5.2)."""
    for found in (record.found.get("Id"), instead):
        if (known := guid_of(found)) not in (None, NOBODY):
            return str(known)
    raise DecodeError("names no record", place=f"{record.place}.Id")


# -- what they say


def _change(context: Mapping[str, Any], touched: _Touched) -> Change:
    values = touched.values
    return Change(
        system=SYSTEM,
        entity=touched.entity,
        record_id=touched.record_id,
        operation=OPERATIONS.get(context["MessageName"].lower(), "update"),
        fields={name: value for name, value in values.items() if value is not None},
        cleared=tuple(sorted(name for name, value in values.items() if value is None)),
        version=None,
        changed_at=_changed_at(context, values.get("modifiedon")),
        transaction=_text(context.get("CorrelationId")),
        origin=_origin(context),
        change_id=_change_id(context, touched.record_id),
    )


def _changed_at(context: Mapping[str, Any], modified: Value) -> str | None:
    if isinstance(modified, str) and _is_moment(modified):
        return modified
    created = context.get("OperationCreatedOn")
    if created is None:
        return None
    date = date_of(created, "OperationCreatedOn")
    if date is None:
        raise DecodeError(f"{created!r} is no date", place="OperationCreatedOn")
    return date


def _is_moment(told: str) -> bool:
    try:
        return datetime.fromisoformat(told).tzinfo is not None
    except ValueError:
        return False


def _origin(context: Mapping[str, Any]) -> str | None:
    held: Any = context
    place = "SharedVariables"
    while isinstance(held, Mapping):
        tag = _given(bag_of(held.get("SharedVariables"), place).get("tag"))
        if tag not in (None, ""):
            return str(tag)
        held, place = held.get("ParentContext"), f"ParentContext.{place}"
    users = (guid_of(context.get(name)) for name in USERS)
    return next((user for user in users if user not in (None, NOBODY)), None)


def _change_id(context: Mapping[str, Any], record_id: str) -> str:
    """Organisation, step, operation, message and record (dynamics.md §2); where no operation is named, as in F&O, the
    body's digest. The correlation id is shared by many events, so it can be no part of this."""
    step = context.get("OwningExtension")
    parts = (
        context.get("OrganizationId"),
        step.get("Id") if isinstance(step, Mapping) else None,
        context.get("OperationId") or _digest(context),
        context["MessageName"],
        record_id,
    )
    return ":".join(str(part or "") for part in parts)


def _digest(context: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(context, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _text(found: Any) -> str | None:
    return found if isinstance(found, str) and found else None
