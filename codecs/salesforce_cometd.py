"""Salesforce change events as CometD delivers them, to changes (salesforce.md §1.7 to §1.13).

Promises: pure; one `Change` a record id; the same event gives the same changes and change ids on every delivery.

What counts as touched:
- A null in the body was cleared. So was a part that `changedFields` names and its compound field, being in the body,
  lacks, because CometD drops the null parts of a compound field (§1.9). Parts are named `BillingAddress.City`.
- A field in the body that a non-empty `changedFields` does not name is enrichment (§1.13): a value of now, not of this
  change. It is left out, because it would count as said anew by whoever made the change. Without `changedFields`, every
  field of the body was touched.
- What was touched without its value being told makes the update a `gap`, which asks for a read: a text sent as a
  difference (§1.10), and a field that `changedFields` names and the body lacks. The latter may be hidden from us, and
  hidden is not cleared. Such a gap still shows what the event does tell.
- A GAP_* event and a delete say nothing of fields. An event for all records of an object, be it an overflow or a
  conversion with the wildcard id `001*` (§1.7), is an `overflow`: no read of one record answers it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from msgspec.structs import replace

from isthmus.codecs.change import Change, Operation, Value
from isthmus.codecs.exact import INT64, instant, parse, value_of
from isthmus.config.errors import DecodeError

SYSTEM = "salesforce"
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
HEADER = "ChangeEventHeader"
SUFFIXES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
RECORD_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
EVERY_RECORD = re.compile(r"[A-Za-z0-9]{3}\*|0{15}(?:AAA)?")

WORDS = {dict: "object", list: "array", str: "text", int: "whole number"}

Kind = TypeVar("Kind")


def decode(message: bytes | dict[str, Any] | list[Any]) -> list[Change]:
    """The changes of an event `{"schema", "payload", "event"}`, of a Bayeux message that holds one as `data`, or of an
    array of these, in order. /meta messages hold none; of a recorded trace, what came in is read.

    Raises DecodeError naming the place, such as `data.payload.ChangeEventHeader.recordIds`.
    """
    try:
        return list(_changes(parse(message) if isinstance(message, bytes) else message, ""))
    except RecursionError as fault:
        raise DecodeError("nested too deeply") from fault


def to18(record_id: str) -> str:
    """The 18-character form of a record id; one that has it already stays as it is (salesforce.md §5)."""
    if len(record_id) != 15:
        return record_id
    chunks = (record_id[start : start + 5] for start in (0, 5, 10))
    return record_id + "".join(
        SUFFIXES[sum(1 << k for k, c in enumerate(chunk) if "A" <= c <= "Z")] for chunk in chunks
    )


# -- from a message to its events


def _changes(message: Any, place: str) -> Iterator[Change]:
    match message:
        case list():
            for number, one in enumerate(message):
                yield from _changes(one, f"{place}[{number}]")
        case {"channel": str(channel)} if channel.startswith("/meta/"):
            return
        case {"payload": _}:
            yield from _event(message, place)
        case {"data": _}:
            yield from _event(_told(message, "data", dict, place), _within(place, "data"))
        case {"dir": str(direction), "body": list(body)}:
            yield from _recorded(direction, body, _within(place, "body"))
        case {"successful": bool()}:
            return
        case _:
            raise DecodeError("neither a change event nor a Bayeux message", place=place)


def _recorded(direction: str, body: list[Any], place: str) -> Iterator[Change]:
    """A step of a trace. Its writer may have left an event's header empty; on the wire that would be a fault."""
    if direction != "<-":
        return
    for number, message in enumerate(body):
        match message:
            case {"data": {"payload": {"ChangeEventHeader": dict(header)}}} if not header:
                continue
        yield from _changes(message, f"{place}[{number}]")


def _event(event: Mapping[str, Any], place: str) -> Iterator[Change]:
    payload = _told(event, "payload", dict, place)
    place = _within(place, "payload")
    header = _told(payload, HEADER, dict, place)
    kind = _text(header, "changeType", _within(place, HEADER))
    if kind not in OPERATIONS:
        raise DecodeError(f"unknown change type {kind!r}", place=f"{_within(place, HEADER)}.changeType")
    whole = _of_any_record(header, OPERATIONS[kind], _body(payload, header, OPERATIONS[kind], place), place)
    for record_id in _record_ids(header, _within(place, HEADER)):
        change = replace(whole, record_id=record_id, change_id=f"{whole.change_id}:{record_id}")
        every = EVERY_RECORD.fullmatch(record_id) is not None
        yield replace(change, operation="overflow", fields={}, cleared=()) if every else change


def _of_any_record(header: Mapping[str, Any], operation: Operation, body: _Body, place: str) -> Change:
    """What all records of the event have in common; the change id lacks the record's part."""
    place = _within(place, HEADER)
    transaction, sequence = _text(header, "transactionKey", place), _count(header, "sequenceNumber", place)
    committed = header.get("commitTimestamp")
    return Change(
        system=SYSTEM,
        entity=_text(header, "entityName", place),
        record_id="",
        operation="gap" if body.incomplete and operation == "update" else operation,
        fields=body.fields,
        cleared=tuple(sorted(body.cleared)),
        version=_version(header, sequence, place),
        changed_at=None if committed is None else instant(committed, f"{place}.commitTimestamp"),
        transaction=transaction,
        origin=_text(header, "changeOrigin", place) if header.get("changeOrigin") else None,
        change_id=f"{transaction}:{sequence}",
    )


def _version(header: Mapping[str, Any], sequence: int, place: str) -> str | None:
    if header.get("commitNumber") is None:
        return None
    return f"{_count(header, 'commitNumber', place):020d}.{sequence:010d}"


def _record_ids(header: Mapping[str, Any], place: str) -> Iterable[str]:
    found = _told(header, "recordIds", list, place)
    if not found:
        raise DecodeError("names no record", place=f"{place}.recordIds")
    for number, one in enumerate(found):
        if not isinstance(one, str) or not (RECORD_ID.fullmatch(one) or EVERY_RECORD.fullmatch(one)):
            raise DecodeError(f"{one!r} is no record id", place=f"{place}.recordIds[{number}]")
    return dict.fromkeys(to18(one) for one in found)


def _text(holder: Mapping[str, Any], name: str, place: str) -> str:
    if holder.get(name) == "":
        raise DecodeError("is missing", place=_within(place, name))
    return _told(holder, name, str, place)


def _count(holder: Mapping[str, Any], name: str, place: str) -> int:
    found = _told(holder, name, int, place)
    if isinstance(found, bool) or found < 0 or found not in INT64:
        raise DecodeError(f"{found!r} is no count", place=_within(place, name))
    return found


def _told(holder: Mapping[str, Any], name: str, kind: type[Kind], place: str) -> Kind:
    found = holder.get(name)
    if not isinstance(found, kind):
        problem = "is missing" if found is None else f"is no {WORDS[kind]}"
        raise DecodeError(problem, place=_within(place, name))
    return found


def _within(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


# -- from an event's body to what was touched


@dataclass(frozen=True, slots=True)
class _Body:
    """`incomplete`: something was touched whose value is not told."""

    fields: Mapping[str, Value]
    cleared: frozenset[str] = frozenset()
    incomplete: bool = False


def _body(payload: Mapping[str, Any], header: Mapping[str, Any], operation: Operation, place: str) -> _Body:
    if operation not in ("create", "update", "undelete"):
        return _Body({})
    named = _changed_fields(header, _within(place, HEADER)) if operation == "update" else frozenset()
    told = dict(_parts(payload, named))
    dropped = {name for name in named if _is_dropped_part(name, payload)}
    differences = {name for name, value in told.items() if _is_difference(value)}
    fields = {
        name: value_of(value, _within(place, name))
        for name, value in told.items()
        if value is not None and name not in differences and _is_touched(name, named)
    }
    silent = {name for name in named if name.partition(".")[0] not in payload}
    cleared = dropped | {name for name, value in told.items() if value is None}
    return _Body(fields, frozenset(cleared), incomplete=bool(differences or silent))


def _changed_fields(header: Mapping[str, Any], place: str) -> frozenset[str]:
    """Empty where there are none: captures up to v46 lack them, and one page of the documentation shows `[]` (§1.7)."""
    if header.get("changedFields") is None:
        return frozenset()
    found = _told(header, "changedFields", list, place)
    for number, name in enumerate(found):
        if not isinstance(name, str):
            raise DecodeError("is no text", place=f"{place}.changedFields[{number}]")
    return frozenset(found)


def _parts(payload: Mapping[str, Any], named: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """The body's fields, and those of its compound fields by their own names."""
    in_parts = {name.partition(".")[0] for name in named if "." in name}
    for name, value in payload.items():
        if name == HEADER or (value is None and name in in_parts):
            continue
        if isinstance(value, Mapping) and not _is_difference(value):
            yield from ((f"{name}.{part}", inner) for part, inner in value.items())
        else:
            yield name, value


def _is_difference(value: Any) -> bool:
    return isinstance(value, Mapping) and value.keys() == {"diff"}


def _is_touched(name: str, named: frozenset[str]) -> bool:
    return not named or name in named or name.partition(".")[0] in named or any(n.startswith(f"{name}.") for n in named)


def _is_dropped_part(name: str, payload: Mapping[str, Any]) -> bool:
    compound, dot, part = name.partition(".")
    value = payload.get(compound)
    return bool(dot) and compound in payload and (value is None or (isinstance(value, Mapping) and part not in value))
