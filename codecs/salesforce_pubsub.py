"""Salesforce change events as the Pub/Sub API delivers them, to changes: Avro, and bitmaps that say what was touched
(salesforce.md §2.4).

Promises: pure; the changes of an event are those that codecs/salesforce_cometd.py gives for the same event, but for
digits that Avro's doubles do not hold; a payload is read to its last byte or refused, because another release's schema
may fit its beginning and give wrong fields.

What counts as touched, in an update:
- What `nulledFields` names was cleared. What `changedFields` names and has a value got it.
- What `changedFields` names and is null without being nulled, and what `diffFields` names (a text sent as a difference,
  §1.10), makes the update a `gap`, which asks for a read: the one may be hidden from us, the other is no value. Where it
  is differences alone, they are told too.
- Any other value is enrichment (§1.13) and left out. Without any `changedFields`, every value that is there was touched.
"""

from __future__ import annotations

import io
import json
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastavro import parse_schema, schemaless_reader
from fastavro.schema import SchemaParseException

from isthmus.codecs.change import Change, Operation, Value
from isthmus.codecs.exact import EPOCH, value_of
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

BITMAP = re.compile(r"(?P<path>(?:\d{1,6}-)*)0[xX](?P<bits>[0-9A-Fa-f]+)")
# What fastavro raises for bytes that are not of the schema.
UNREADABLE = (EOFError, IndexError, KeyError, OverflowError, TypeError, ValueError, MemoryError, struct.error)
Record = Mapping[str, Any]
Clock = Callable[[datetime], str]


def _time_of_day(at: datetime) -> str:
    return at.time().isoformat("milliseconds") + "Z"


def _date(at: datetime) -> str:
    return at.date().isoformat()


def _date_and_time(at: datetime) -> str:
    return f"{_date(at)}T{_time_of_day(at)}"


# How CometD tells what Avro tells in milliseconds, by what the schema's `doc` says of the field (§1.8).
CLOCKS: Mapping[str, Clock] = {"DateTime": _date_and_time, "DateOnly": _date, "TimeOnly": _time_of_day}


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of an Avro record in their order, which the bits of a bitmap count; `parts`: of those that are records
    themselves; `clocks`: for those that are times, how to tell them."""

    names: tuple[str, ...]
    parts: Mapping[str, Fields]
    clocks: Mapping[str, Clock]


@dataclass(frozen=True, slots=True)
class EventSchema:
    """A schema, ready to read payloads with."""

    avro: Any
    fields: Fields


def read_schema(schema_json: str | bytes) -> EventSchema:
    """An event's Avro schema, as GetSchema tells it. DecodeError where it is none of a change event."""
    try:
        schema = json.loads(schema_json)
        avro = parse_schema(schema, named_schemas={})
    except (ValueError, TypeError, KeyError, RecursionError, SchemaParseException) as fault:
        raise DecodeError(f"not an Avro schema: {fault}") from fault
    if not isinstance(schema, dict) or [field["name"] for field in schema.get("fields", ())[:1]] != [HEADER]:
        raise DecodeError(f"not the schema of a change event: its first field is not {HEADER}")
    return EventSchema(avro, _fields(schema, {}))


def _fields(record: Record, known: dict[str, Fields]) -> Fields:
    parts: dict[str, Fields] = {}
    clocks: dict[str, Clock] = {}
    for field in record["fields"]:
        inner = _record_in(field["type"], known)
        if inner is not None:
            parts[field["name"]] = inner
        elif clock := CLOCKS.get(_kind(field)):
            clocks[field["name"]] = clock
    found = Fields(tuple(field["name"] for field in record["fields"]), parts, clocks)
    known[record["name"]] = found
    return found


def _record_in(kind: Any, known: dict[str, Fields]) -> Fields | None:
    """The record in a type, perhaps in a union, perhaps by the name that it was given before."""
    for one in kind if isinstance(kind, list) else [kind]:
        if isinstance(one, dict) and one.get("type") == "record":
            return _fields(one, known)
        if isinstance(one, str) and one in known:
            return known[one]
    return None


def _kind(field: Record) -> str:
    """`Data:DateOnly:00NDp000009Rr9I` → `DateOnly`."""
    return str(field.get("doc", "")).partition(":")[2].partition(":")[0]


# -- from a payload to its changes


def decode(payload: bytes, schema: EventSchema) -> list[Change]:
    """The changes of an event's payload. DecodeError names the place, such as `ChangeEventHeader.recordIds`."""
    event = _read(payload, schema)
    header = told(event, HEADER, dict, "")
    operation = operation_of(header, HEADER)
    body = _body(event, header, operation, schema.fields) if says_fields(operation) else NOTHING_SAID
    return list(changes_of(header, body, HEADER))


def _read(payload: bytes, schema: EventSchema) -> Record:
    stream = io.BytesIO(payload)
    try:
        event = schemaless_reader(stream, schema.avro, None)
    except UNREADABLE as fault:
        raise DecodeError(f"not of this schema: {type(fault).__name__} {fault}".rstrip()) from fault
    if left := len(payload) - stream.tell():
        raise DecodeError(f"not of this schema: {left} bytes are left over")
    if not isinstance(event, dict):
        raise DecodeError("not of this schema: no record")
    return event


def _body(event: Record, header: Record, operation: Operation, fields: Fields) -> Body:
    values = dict(_values(event, fields, ""))
    if operation != "update":
        return Body(values)
    changed, nulled, different = (
        _named(texts(header, name, HEADER), fields, within(HEADER, name))
        for name in ("changedFields", "nulledFields", "diffFields")
    )
    touched = changed.names | {leaf for names in changed.leaves.values() for leaf in names} | changed.above
    told_of = {name: value for name, value in values.items() if not changed.names or name in touched}
    cleared = {leaf for leaves in nulled.leaves.values() for leaf in leaves} - values.keys()
    kept = {name: value for name, value in told_of.items() if name not in different.names}
    silent = [name for name in changed.names if not _is_told(name, changed.leaves[name], values.keys() | cleared)]
    differences = {name: values.get(name) for name in different.names}
    return updated(kept, cleared, differences, silent=bool(silent))


def _is_told(name: str, leaves: Iterable[str], known: Set[str]) -> bool:
    """A name that switches between a text and parts is told by either."""
    return name in known or name.rpartition(".")[0] in known or all(leaf in known for leaf in leaves)


def _values(record: Record, fields: Fields, place: str) -> Iterator[tuple[str, Value]]:
    """What is not null, parts of compound fields by their own names."""
    for name in fields.names:
        value, here = record.get(name), within(place, name)
        if name == HEADER or value is None:
            continue
        if isinstance(value, dict) and name in fields.parts:
            yield from _values(value, fields.parts[name], here)
        elif name in fields.clocks:
            yield here, _clock(value, fields.clocks[name], here)
        else:
            yield here, value_of(value, here)


def _clock(milliseconds: Any, form: Clock, place: str) -> str:
    try:
        return form(EPOCH + timedelta(milliseconds=milliseconds))
    except (OverflowError, TypeError) as fault:
        raise DecodeError(f"{milliseconds!r} ms is beyond the calendar", place=place) from fault


# -- bitmaps


@dataclass(frozen=True, slots=True)
class Named:
    """What bitmaps name: `leaves` are a name's parts, or itself where it has none; `above` is what has a named part."""

    leaves: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> Set[str]:
        return self.leaves.keys()

    @property
    def above(self) -> Set[str]:
        return {name.rpartition(".")[0] for name in self.leaves}


def _named(bitmaps: list[str], fields: Fields, place: str) -> Named:
    """`0x…` names fields of the event, `4-0x…` parts of its fifth field, `4-1-0x…` parts of a part."""
    found: dict[str, tuple[str, ...]] = {}
    for number, one in enumerate(bitmaps):
        if not (bitmap := BITMAP.fullmatch(one)):
            raise DecodeError(f"{one!r} is no bitmap", place=f"{place}[{number}]")
        found.update(_set_bits(bitmap, fields, f"{place}[{number}]"))
    return Named(found)


def _set_bits(bitmap: re.Match[str], fields: Fields, place: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    above = ""
    for step in bitmap["path"].split("-")[:-1]:
        name = _name_at(int(step), fields, place)
        if name not in fields.parts:
            raise DecodeError(f"{name} has no parts", place=place)
        above, fields = within(above, name), fields.parts[name]
    bits = int(bitmap["bits"], 16)
    for index in range(bits.bit_length()):
        if bits >> index & 1:
            name = _name_at(index, fields, place)
            yield within(above, name), tuple(_leaves(within(above, name), fields.parts.get(name)))


def _name_at(index: int, fields: Fields, place: str) -> str:
    if index >= len(fields.names) or fields.names[index] == HEADER:
        raise DecodeError(f"there is no field {index} that could change", place=place)
    return fields.names[index]


def _leaves(name: str, parts: Fields | None) -> Iterator[str]:
    if parts is None:
        yield name
        return
    for part in parts.names:
        yield from _leaves(f"{name}.{part}", parts.parts.get(part))
