"""Business events and data events of Finance & Operations, to changes (dynamics.md §5.1, §5.2).

Promises: pure; unknown fields are ignored. An event is a hint at a record, not the truth: payloads are thin, deliveries
come twice and out of order, and nothing in them is a version (control numbers have gaps and span all events).
The change id is the same on every delivery: a business event's `EventId`, a data event's digest.

A data event names its record by the entity's key columns (`mserp_` and their names in lower case) in `Target`, else in
`PreImage`; the GUID it carries besides is that of a virtual row and means nothing to OData.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.codecs.change import Change, Operation, Value
from isthmus.codecs.dynamics_values import NOBODY, Placed, attributes_of, bag_of, date_of, guid_of, plain_of
from isthmus.codecs.exact import parse
from isthmus.codecs.operations_keys import COMPANY, record_id
from isthmus.config.errors import DecodeError

SYSTEM = "operations"
VIRTUAL = "mserp_"
UNSET_DATE = "1900-01-01T"
MESSAGES: Mapping[str, Operation] = {
    "onexternalcreated": "create",
    "onexternalupdated": "update",
    "onexternaldeleted": "delete",
    "create": "create",
    "update": "update",
    "delete": "delete",
}
ENVELOPE = {
    "BusinessEventLegalEntity",
    "BusinessEventId",
    "ContextRecordSubject",
    "ControlNumber",
    "EventId",
    "EventTime",
    "EventTimeIso8601",
    "InitiatingUserAADObjectId",
    "LegalEntity",
    "MajorVersion",
    "MinorVersion",
    "ParentContextRecordSubjects",
}

# The key columns of the data entities that processes use, by the entity's own name (dynamics.md §5.3).
KEYS: Mapping[str, tuple[str, ...]] = {
    "SalesOrderHeaderV2Entity": (COMPANY, "SalesOrderNumber"),
    "SalesOrderLineV2Entity": (COMPANY, "InventoryLotId"),
    "CustCustomerV3Entity": (COMPANY, "CustomerAccount"),
    "EcoResReleasedProductV2Entity": (COMPANY, "ItemNumber"),
    "SalesPriceAgreementEntity": ("RecordId",),
    "LedgerJournalHeaderEntity": (COMPANY, "JournalBatchNumber"),
    "LedgerJournalLineEntity": (COMPANY, "JournalBatchNumber", "LineNumber"),
    "SalesInvoiceHeaderV2Entity": (COMPANY, "InvoiceNumber", "InvoiceDate", "LedgerVoucher"),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """The record that a business event is about: the payload's name for each key column of an entity."""

    entity: str
    key: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an environment: the key columns of its entities, and what its business events are about."""

    keys: Mapping[str, Sequence[str]]
    subjects: Mapping[str, Subject]


# The posted invoice is named by its number alone, which is not its whole key; its order is named whole.
STANDARD = Known(
    KEYS,
    {
        "SalesInvoicePostedBusinessEvent": Subject(
            "SalesOrderHeaderV2Entity", {COMPANY: "LegalEntity", "SalesOrderNumber": "SalesOrderId"}
        )
    },
)
# One thing under two names, by the version of the contract (dynamics.md §5.1).
OTHER_NAMES = {"LegalEntity": "BusinessEventLegalEntity", "SalesOrderId": "SalesId"}


def decode(message: bytes | dict[str, Any], known: Known = STANDARD) -> list[Change]:
    """The one change that an event tells of; `fields` are the payload's own, by the names it has for them.

    Raises DecodeError naming the place; `UNKNOWN_EVENT` and `UNKNOWN_ENTITY` where nobody said which record it means.
    """
    event = parse(message) if isinstance(message, bytes) else message
    if not isinstance(event, dict):
        raise DecodeError("an event's body is an object")
    try:
        # A data event may carry the envelope of a business event as well.
        return [_data(event, known.keys) if "MessageName" in event else _business(event, known)]
    except RecursionError as fault:
        raise DecodeError("nested too deeply") from fault


# -- business events


def _business(event: Mapping[str, Any], known: Known) -> Change:
    name, event_id = _needed(event, "BusinessEventId"), _needed(event, "EventId")
    subject = known.subjects.get(name)
    if subject is None:
        raise DecodeError(
            f"nobody knows which record {name} is about",
            place="BusinessEventId",
            code="UNKNOWN_EVENT",
            hint="name it in the mapping's events, or do not send it here",
        )
    fields = {one: _payload(value, one) for one, value in event.items() if one not in ENVELOPE}
    return Change(
        system=SYSTEM,
        entity=subject.entity,
        record_id=record_id(_subject_key(event, subject), known.keys[subject.entity]),
        operation="update",
        fields={one: value for one, value in fields.items() if value is not None},
        cleared=(),
        version=None,
        changed_at=_event_time(event),
        transaction=_text(event.get("ContextRecordSubject")),
        origin=_user(event.get("InitiatingUserAADObjectId")),
        change_id=event_id,
    )


def _subject_key(event: Mapping[str, Any], subject: Subject) -> dict[str, str | int]:
    key: dict[str, str | int] = {}
    for column, name in subject.key.items():
        told = event.get(name) or event.get(OTHER_NAMES.get(name, name))
        value = plain_of(told, name)
        if not isinstance(value, str | int) or value in ("", 0):
            raise DecodeError("is missing", place=name)
        key[column] = value
    return key


def _payload(value: Any, place: str) -> Value:
    told = plain_of(value, place)
    return None if told == "" or (isinstance(told, str) and told.startswith(UNSET_DATE)) else told


def _event_time(event: Mapping[str, Any]) -> str | None:
    told = event.get("EventTime")
    if told is None:
        return _text(event.get("EventTimeIso8601"))
    date = date_of(told, "EventTime")
    if date is None:
        raise DecodeError(f"{told!r} is no date", place="EventTime")
    return date


# -- data events


def _data(context: Mapping[str, Any], keys: Mapping[str, Sequence[str]]) -> Change:
    operation = MESSAGES.get(_needed(context, "MessageName").lower())
    if operation is None:
        raise DecodeError(f"{context['MessageName']} is no data event", place="MessageName")
    inputs = bag_of(context.get("InputParameters"), "InputParameters")
    target = _attributes(inputs.get("Target"))
    entity = _entity(context, inputs.get("Target"), keys)
    columns = {name.lower(): name for name in keys[entity]}
    named = {**_attributes(inputs.get("PreImage")), **target}
    key = {columns[name]: value for name, value in named.items() if name in columns and isinstance(value, str | int)}
    return Change(
        system=SYSTEM,
        entity=entity,
        record_id=record_id(key, keys[entity]),
        operation=operation,
        fields={name: value for name, value in target.items() if value is not None},
        cleared=tuple(sorted(name for name, value in target.items() if value is None)),
        version=None,
        changed_at=_created(context),
        transaction=_text(context.get("CorrelationId")),
        origin=_user(context.get("InitiatingUserAzureActiveDirectoryObjectId")),
        change_id=_text(context.get("EventId")) or _digest(context),
    )


def _attributes(parameter: Placed | None) -> dict[str, Value]:
    """A row's attributes under the names of OData in lower case, without the virtual table's prefix."""
    if parameter is None or not isinstance(parameter.found, Mapping):
        return {}
    return {name.lower().removeprefix(VIRTUAL): value for name, value in attributes_of(parameter).items()}


def _entity(context: Mapping[str, Any], target: Placed | None, keys: Mapping[str, Sequence[str]]) -> str:
    logical = target.found.get("LogicalName") if target is not None and isinstance(target.found, Mapping) else None
    name = str(logical or context.get("PrimaryEntityName") or "")
    for entity in keys:
        if entity.lower() == name.lower().removeprefix(VIRTUAL):
            return entity
    raise DecodeError(
        f"nobody knows the key of {name or 'its entity'}",
        place="PrimaryEntityName",
        code="UNKNOWN_ENTITY",
        hint="map the entity, or switch its data events off",
    )


def _created(context: Mapping[str, Any]) -> str | None:
    for name in ("OperationCreatedOn", "EventTime"):
        if (told := context.get(name)) is not None:
            return date_of(told, name)
    return None


# -- both


def _needed(event: Mapping[str, Any], name: str) -> str:
    told = event.get(name)
    if not isinstance(told, str) or not told:
        raise DecodeError("is missing", place=name)
    return told


def _user(told: Any) -> str | None:
    user = guid_of(told)
    return None if user in (None, NOBODY) else user


def _text(found: Any) -> str | None:
    return found if isinstance(found, str) and found else None


def _digest(context: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(context, sort_keys=True, default=str).encode()).hexdigest()[:32]
