"""reread: reads records back, in batches, when a webhook hinted at them, a gap hid them or a write met another version.

Promises: a hint is never believed, only the row it points to; reads of a record are serialised, so versions only grow;
a read that fails for now is tried until it succeeds, and the hint waits in Kafka meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import stamina

from isthmus.codecs.arrival import Arrival, Reread, native_key
from isthmus.codecs.change import Operation
from isthmus.codecs.dead import dead_letter
from isthmus.codecs.frames import Elements, encode
from isthmus.config.errors import DecodeError, PermanentError, PlatformError
from isthmus.systems.protocol import Row, System
from isthmus.tables.rows import KnownRow, news, numbered, read_change, rows
from isthmus.tables.stage import Batch, Input, Stage
from isthmus.tables.unit import Table, Unit

Understand = Callable[[Any], Sequence[Reread]]


def stage(system: System, understand: Understand | None, versioned: bool, unordered: bool = False) -> Stage:
    """The stage of one system. `understand` turns a raw hint record into requests (DecodeError: a dead letter); a
    system without hints has none. `versioned`: its reads carry their version, so they can be told apart; `unordered`:
    those versions are equal or not and have no order, so that reads are numbered here."""
    name = system.name
    table = rows(name)

    async def fold(unit: Unit, batches: Sequence[Batch]) -> None:
        requests = [request for batch in batches for request in _requests(unit, name, batch, understand)]
        for object_ in dict.fromkeys(request.object for request in requests):
            some = [request for request in requests if request.object == object_]
            await _read(unit, system, some, table if versioned else None, unordered)

    def bury(unit: Unit, raw: bytes, fault: Exception) -> None:
        _bury(unit, name, "unknown", fault, raw)

    hints = (Input(f"hints.{name}", None),) if understand else ()
    inputs = (Input(f"rereads.{name}", Elements(Reread)), *hints)
    return Stage(f"reread-{name}", inputs, (table,), fold, bury)


def _requests(unit: Unit, system: str, batch: Batch, understand: Understand | None) -> Iterator[Reread]:
    if batch.topic == f"rereads.{system}" or understand is None:
        yield from batch.elements
        return
    for message in batch.elements:
        try:
            yield from understand(message)
        except DecodeError as fault:
            _bury(unit, system, "unknown", fault, message.value)


async def _read(
    unit: Unit, system: System, requests: Sequence[Reread], table: Table[KnownRow] | None, unordered: bool
) -> None:
    ids = list(dict.fromkeys(request.record_id for request in requests))
    try:
        found = {row.record_id: row for row in await _patiently(system, requests[0].object, ids)}
    except PermanentError as fault:
        for request in requests:
            _bury(unit, system.name, request.object, fault, encode(request))
        return
    for request in _worth_answering(requests):
        row = found.get(request.record_id)
        if row is None:
            continue
        if table is None:
            _as_asked(unit, system.name, request, row)
        else:
            _versioned(unit, table, system.name, request, row, unordered)


async def _patiently(system: System, object_: str, ids: Sequence[str]) -> list[Row]:
    async for attempt in stamina.retry_context(_passing, attempts=None, timeout=None, wait_max=30.0):
        with attempt:
            return await system.read(object_, ids)
    raise AssertionError("retries without end")


def _passing(fault: Exception) -> bool:
    return isinstance(fault, PlatformError) and not isinstance(fault, PermanentError)


def _worth_answering(requests: Sequence[Reread]) -> list[Reread]:
    """One answer for all plain hints at a record; each gap and each conflict gets its own."""
    plain = {r.record_id: r for r in requests if r.answers is None and r.nonce is None}
    return [*plain.values(), *(r for r in requests if r.answers is not None or r.nonce is not None)]


def _versioned(unit: Unit, table: Table[KnownRow], system: str, request: Reread, row: Row, unordered: bool) -> None:
    """A read that carries its version."""
    key = f"{request.object}:{request.record_id}".encode()
    known = unit.get(table, key)
    read = KnownRow(row.version or "", row.exists)
    if unordered and row.exists:
        read = numbered(known, read, row.fields)
    told = news(system, request, known, read, row.fields, row.changed_at or request.at)
    if told is not None:
        change, remembered = told
        unit.put(table, key, remembered)
        _send(unit, system, Arrival(change, request.correlation, whole=row.exists, answers=request.answers))


def _as_asked(unit: Unit, system: str, request: Reread, row: Row) -> None:
    """A read without a version: at least as new as what asked for it."""
    operation: Operation = "update" if row.exists else "delete"
    change = read_change(system, request, operation, row.fields, request.version or "", row.changed_at)
    _send(unit, system, Arrival(change, request.correlation, whole=row.exists, answers=request.answers))


def _send(unit: Unit, system: str, arrival: Arrival) -> None:
    unit.send(f"changes.{system}", native_key(system, arrival.change.record_id), arrival)


def _bury(unit: Unit, system: str, entity: str, fault: Exception, original: bytes) -> None:
    unit.count(system, entity, "received")
    unit.count(system, entity, "dead")
    unit.bury(dead_letter(fault, stage="reread", original=original, system=system))
