"""What both of Salesforce's transports say of a change: the ChangeEventHeader and the records it names, to changes
(salesforce.md §1.7, §1.11).

Promises: pure; one `Change` a record id, whose id, version and time depend on the header alone, so that a change has the
same id whichever transport brought it. An event for all records of an object, be it an overflow or a conversion with the
wildcard id `001*`, is an `overflow`: no read of one record answers it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from msgspec.structs import replace

from isthmus.codecs.change import Change, Operation, Value
from isthmus.codecs.exact import INT64, instant
from isthmus.config.errors import DecodeError

SYSTEM = "salesforce"
HEADER = "ChangeEventHeader"
OPERATIONS: Mapping[str, Operation] = {
    "CREATE": "create",
    "UPDATE": "update",
    "DELETE": "delete",
    "UNDELETE": "undelete",
    "GAP_CREATE": "gap",
    "GAP_UPDATE": "gap",
    "GAP_DELETE": "gap",
    "GAP_UNDELETE": "gap",
    "GAP_OVERFLOW": "overflow",
}
SUFFIXES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
RECORD_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
EVERY_RECORD = re.compile(r"[A-Za-z0-9]{3}\*|0{15}(?:AAA)?")

WORDS = {dict: "object", list: "array", str: "text", int: "whole number"}

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class Body:
    """What an event says of fields. `incomplete`: something was touched whose value is not told; `text_differences`: where
    it is these texts alone, what they differ by."""

    fields: Mapping[str, Value]
    cleared: frozenset[str] = frozenset()
    incomplete: bool = False
    text_differences: Mapping[str, str] = field(default_factory=dict)


NOTHING_SAID = Body({})


def updated(
    fields: Mapping[str, Value], cleared: Iterable[str], differences: Mapping[str, Any], *, silent: bool
) -> Body:
    """The body of an update; `differences`: what is told of texts instead of themselves, `silent`: something else was
    touched of which nothing is told."""
    usable = not silent and all(isinstance(one, str) for one in differences.values())
    return Body(fields, frozenset(cleared), silent or bool(differences), differences if usable else {})


def operation_of(header: Mapping[str, Any], place: str) -> Operation:
    """What happened; DecodeError where nobody knows. `place` is the header's."""
    kind = text(header, "changeType", place)
    if kind not in OPERATIONS:
        raise DecodeError(f"unknown change type {kind!r}", place=within(place, "changeType"))
    return OPERATIONS[kind]


def says_fields(operation: Operation) -> bool:
    """Does an event of this kind tell of fields? A GAP_* event and a delete do not."""
    return operation in ("create", "update", "undelete")


def changes_of(header: Mapping[str, Any], body: Body, place: str) -> Iterator[Change]:
    """The changes of an event, one a record. DecodeError names what is wrong below `place`, the header's."""
    whole = _of_any_record(header, operation_of(header, place), body, place)
    for record_id in _record_ids(header, place):
        change = replace(whole, record_id=record_id, change_id=f"{whole.change_id}:{record_id}")
        every = EVERY_RECORD.fullmatch(record_id) is not None
        yield replace(change, operation="overflow", fields={}, cleared=(), text_differences={}) if every else change


def _of_any_record(header: Mapping[str, Any], operation: Operation, body: Body, place: str) -> Change:
    """What all records of the event have in common; the change id lacks the record's part."""
    transaction, sequence = text(header, "transactionKey", place), count(header, "sequenceNumber", place)
    committed = header.get("commitTimestamp")
    return Change(
        system=SYSTEM,
        entity=text(header, "entityName", place),
        record_id="",
        operation="gap" if body.incomplete and operation == "update" else operation,
        fields=body.fields,
        cleared=tuple(sorted(body.cleared)),
        version=_version(header, sequence, place),
        changed_at=None if committed is None else instant(committed, within(place, "commitTimestamp")),
        transaction=transaction,
        origin=text(header, "changeOrigin", place) if header.get("changeOrigin") else None,
        change_id=f"{transaction}:{sequence}",
        text_differences=body.text_differences if operation == "update" else {},
    )


def _version(header: Mapping[str, Any], sequence: int, place: str) -> str | None:
    if header.get("commitNumber") is None:
        return None
    return f"{count(header, 'commitNumber', place):020d}.{sequence:010d}"


def _record_ids(header: Mapping[str, Any], place: str) -> Iterable[str]:
    found = told(header, "recordIds", list, place)
    if not found:
        raise DecodeError("names no record", place=within(place, "recordIds"))
    for number, one in enumerate(found):
        if not isinstance(one, str) or not (RECORD_ID.fullmatch(one) or EVERY_RECORD.fullmatch(one)):
            raise DecodeError(f"{one!r} is no record id", place=f"{within(place, 'recordIds')}[{number}]")
    return dict.fromkeys(to18(one) for one in found)


def to18(record_id: str) -> str:
    """The 18-character form of a record id; one that has it already stays as it is (salesforce.md §5)."""
    if len(record_id) != 15:
        return record_id
    chunks = (record_id[start : start + 5] for start in (0, 5, 10))
    return record_id + "".join(
        SUFFIXES[sum(1 << k for k, c in enumerate(chunk) if "A" <= c <= "Z")] for chunk in chunks
    )


# -- looking into what came


def text(holder: Mapping[str, Any], name: str, place: str) -> str:
    """A text that is there and not empty, else DecodeError."""
    if holder.get(name) == "":
        raise DecodeError("is missing", place=within(place, name))
    return told(holder, name, str, place)


def count(holder: Mapping[str, Any], name: str, place: str) -> int:
    """A whole number of 64 bits, not below 0, else DecodeError."""
    found = told(holder, name, int, place)
    if isinstance(found, bool) or found < 0 or found not in INT64:
        raise DecodeError(f"{found!r} is no count", place=within(place, name))
    return found


def told(holder: Mapping[str, Any], name: str, kind: type[Kind], place: str) -> Kind:
    """A value of this kind, else DecodeError."""
    found = holder.get(name)
    if not isinstance(found, kind):
        problem = "is missing" if found is None else f"is no {WORDS[kind]}"
        raise DecodeError(problem, place=within(place, name))
    return found


def texts(holder: Mapping[str, Any], name: str, place: str) -> list[str]:
    """An array of texts, empty where there is none; else DecodeError."""
    if holder.get(name) is None:
        return []
    found = told(holder, name, list, place)
    for number, one in enumerate(found):
        if not isinstance(one, str):
            raise DecodeError("is no text", place=f"{within(place, name)}[{number}]")
    return found


def within(place: str, name: str) -> str:
    """The place of what a place holds."""
    return f"{place}.{name}" if place else name
