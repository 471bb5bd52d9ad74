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

The header is read in codecs/salesforce_event.py, as the other transport's is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.codecs.change import Change, Operation
from isthmus.codecs.exact import parse, value_of
from isthmus.codecs.salesforce_event import (
    HEADER,
    NOTHING_SAID,
    Body,
    changes_of,
    operation_of,
    says_fields,
    texts,
    told,
    updated,
    within,
)
from isthmus.config.errors import DecodeError


def decode(message: bytes | dict[str, Any] | list[Any]) -> list[Change]:
    """The changes of an event `{"schema", "payload", "event"}`, of a Bayeux message that holds one as `data`, or of an
    array of these, in order. /meta messages hold none; of a recorded trace, what came in is read.

    Raises DecodeError naming the place, such as `data.payload.ChangeEventHeader.recordIds`.
    """
    try:
        return list(_changes(parse(message) if isinstance(message, bytes) else message, ""))
    except RecursionError as fault:
        raise DecodeError("nested too deeply") from fault


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
            yield from _event(told(message, "data", dict, place), within(place, "data"))
        case {"dir": str(direction), "body": list(body)}:
            yield from _recorded(direction, body, within(place, "body"))
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
    payload = told(event, "payload", dict, place)
    place = within(place, "payload")
    header = told(payload, HEADER, dict, place)
    body = _body(payload, header, operation_of(header, within(place, HEADER)), place)
    yield from changes_of(header, body, within(place, HEADER))


# -- from an event's body to what was touched


def _body(payload: Mapping[str, Any], header: Mapping[str, Any], operation: Operation, place: str) -> Body:
    if not says_fields(operation):
        return NOTHING_SAID
    # Empty where there are none: captures up to v46 lack them, and one page of the documentation shows `[]` (§1.7).
    named = frozenset(texts(header, "changedFields", within(place, HEADER)) if operation == "update" else ())
    parts = dict(_parts(payload, named))
    dropped = {name for name in named if _is_dropped_part(name, payload)}
    differences = {name: value["diff"] for name, value in parts.items() if _is_difference(value)}
    fields = {
        name: value_of(value, within(place, name))
        for name, value in parts.items()
        if value is not None and name not in differences and _is_touched(name, named)
    }
    silent = {name for name in named if name.partition(".")[0] not in payload}
    cleared = dropped | {name for name, value in parts.items() if value is None}
    return updated(fields, cleared, differences, silent=bool(silent))


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
