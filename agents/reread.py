"""reread: reads records back, in batches, when a webhook hinted at them, a gap hid them or a write met another version;
and takes in what a feed has read already.

Promises: a hint is never believed, only the row it points to; reads of a record are serialised, so versions only grow;
a read that fails for now is tried until it succeeds, and the hint waits in Kafka meanwhile, as it does while the system's
limits leave no room for it. Reads in bulk wait apart and hold up no others. A record that may only be hidden from us is a
dead letter and not deleted. What a full read did not meet is asked for id by id; where it is more than a set share, none of
it is taken for deleted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import stamina
import structlog
from msgspec.structs import replace

from isthmus.agents.allowance import Allowance
from isthmus.agents.reread_budget import afford
from isthmus.codecs.arrival import Arrival, Found, Reread, native_key
from isthmus.codecs.change import Change, Operation
from isthmus.codecs.dead import dead_letter, described
from isthmus.codecs.frames import Elements, encode
from isthmus.config.errors import DecodeError, PermanentError, PlatformError
from isthmus.systems.protocol import Row, System
from isthmus.tables.rows import KnownRow, news, numbered, read_change, rows, too_many, too_many_gone
from isthmus.tables.stage import Batch, Input, Stage
from isthmus.tables.unit import Table, Unit

log = structlog.get_logger()
Understand = Callable[[Any], Sequence[Reread]]


def stage(
    system: System,
    understand: Understand | None,
    versioned: bool,
    unordered: bool = False,
    allowance: Allowance | None = None,
    clock: Callable[[], float] = time.time,
) -> Stage:
    """The stage of one system. `understand` turns a raw hint record into requests (DecodeError: a dead letter); a
    system without hints has none. `versioned`: its reads carry their version, so they can be told apart; `unordered`:
    those versions are equal or not and have no order, so that reads are numbered here. `allowance`: whether it may call the
    system; `clock`: epoch seconds, where no tick tells the time."""
    name, allowance = system.name, allowance or Allowance(system)
    table = rows(name)

    async def fold(unit: Unit, batches: Sequence[Batch]) -> None:
        tick = max((time for batch in batches if batch.topic == "tick" for time in batch.elements), default=None)
        now = clock() if tick is None else tick
        come = (batch for batch in batches if batch.topic != "tick")
        requests = [request for batch in come for request in _requests(unit, name, batch, understand)]
        requests = afford(unit, table.name, name, requests, allowance, now)
        for request in requests:
            if request.found is not None:
                _take(unit, table, name, request, request.found)
        asked = [request for request in requests if request.found is None and not request.swept]
        for object_ in dict.fromkeys(request.object for request in asked):
            some = [request for request in asked if request.object == object_]
            await allowance.enter(clock)
            await _read(unit, system, some, table if versioned else None, unordered)
        for request in requests:
            if request.swept and versioned:
                sweep(unit, table, name, request)
            elif request.swept:
                _say_swept(unit, name, request)

    def bury(unit: Unit, raw: bytes, fault: Exception) -> None:
        asked = "object" in described(raw) and "record_id" in described(raw)
        _bury(unit, name, "unknown", fault, raw, "rereads" if asked or not understand else "hints")

    hints = (Input(f"hints.{name}", None),) if understand else ()
    inputs = (Input(f"rereads.{name}", Elements(Reread)), *hints)
    return Stage(f"reread-{name}", inputs, (table,), fold, bury, ticks=True)


def _requests(unit: Unit, system: str, batch: Batch, understand: Understand | None) -> Iterator[Reread]:
    if batch.topic == f"rereads.{system}" or understand is None:
        yield from batch.elements
        return
    for message in batch.elements:
        try:
            yield from understand(message)
        except DecodeError as fault:
            _bury(unit, system, "unknown", fault, message.value, "hints")


async def _read(
    unit: Unit, system: System, requests: Sequence[Reread], table: Table[KnownRow] | None, unordered: bool
) -> None:
    ids = list(dict.fromkeys(request.record_id for request in requests))
    try:
        found = {row.record_id: row for row in await _patiently(system, requests[0].object, ids)}
    except PermanentError as fault:
        if len(ids) > 1:
            # What is refused in company is asked for alone, so that one row costs no other.
            for record_id in ids:
                alone = [one for one in requests if one.record_id == record_id]
                await _read(unit, system, alone, table, unordered)
            return
        for request in requests:
            _bury(unit, system.name, request.object, fault, encode(request))
        return
    for request in _worth_answering(requests):
        row = found.get(request.record_id)
        if row is None:
            continue
        if request.told is not None:
            _say_on(unit, system.name, request, request.told, row.merged_into)
            continue
        if not row.exists and not row.sure:
            _bury(unit, system.name, request.object, _hidden(request), encode(request))
        elif table is None:
            _as_asked(unit, system.name, request, row)
        else:
            _versioned(unit, table, system.name, request, row, unordered)


def _say_on(unit: Unit, system: str, request: Reread, told: Change, merged_into: str | None) -> None:
    """A delete goes on as it was told, with word of the record that it was merged into."""
    change = replace(told, change_id=f"{told.change_id}#asked")
    arrival = Arrival(change, request.correlation, answers=request.answers, merged_into=merged_into, use=request.use)
    _send(unit, system, arrival)


def _hidden(request: Reread) -> PlatformError:
    """A record that is not there, and that nobody says was deleted."""
    text = f"{request.object} {request.record_id} is not to be seen, and is not known to be deleted"
    return PlatformError(text, code="GONE_UNCONFIRMED", hint="may the integration user still see it? then replay this")


async def _patiently(system: System, object_: str, ids: Sequence[str]) -> list[Row]:
    async for attempt in stamina.retry_context(_passing, attempts=None, timeout=None, wait_max=30.0):
        with attempt:
            return await system.read(object_, ids)
    raise AssertionError("retries without end")


def _passing(fault: Exception) -> bool:
    return isinstance(fault, PlatformError) and not isinstance(fault, PermanentError)


def _worth_answering(requests: Sequence[Reread]) -> list[Reread]:
    """One answer for all plain hints at a record, interactive where one of them is; each gap and each conflict gets its
    own."""
    by_use = sorted(requests, key=lambda one: one.use == "interactive")
    plain = {r.record_id: r for r in by_use if r.answers is None and r.nonce is None}
    return [*plain.values(), *(r for r in requests if r.answers is not None or r.nonce is not None)]


def _versioned(unit: Unit, table: Table[KnownRow], system: str, request: Reread, row: Row, unordered: bool) -> None:
    """A read that carries its version."""
    key = f"{request.object}:{request.record_id}".encode()
    known = unit.get(table, key)
    read = KnownRow(row.version or "", row.exists)
    if unordered and row.exists:
        read = numbered(known, read, row.fields)
    change, remembered = news(system, request, known, read, row.fields, row.changed_at or request.at)
    if remembered is not None and remembered != known:
        unit.put(table, key, remembered)
    if change is not None:
        arrival = Arrival(change, request.correlation, row.exists, request.answers, None, request.merged_into)
        arrival = arrival if request.use == "interactive" else replace(arrival, use=request.use)
        _send(unit, system, arrival)


def _take(unit: Unit, table: Table[KnownRow], system: str, request: Reread, found: Found) -> None:
    """What a feed has read."""
    row = Row(request.record_id, True, found.fields, found.version, found.changed_at)
    _versioned(unit, table, system, request, row, unordered=False)


def sweep(unit: Unit, table: Table[KnownRow], system: str, request: Reread) -> None:
    """A full read is over: ask for each record that it did not meet, unless they are too many to be believed."""
    prefix = f"{request.object}:".encode()
    stored = ((key, table.decode(raw)) for key, raw in unit.views[table.name].scan(prefix))
    living = {key: row.full < request.full for key, row in stored if row.exists}
    keys = [key for key, unmet in living.items() if unmet and _still_unmet(unit, table, key, request.full)]
    missing = [key.removeprefix(prefix).decode() for key in keys]
    if too_many(len(missing), len(living)):
        fault = too_many_gone(len(missing), len(living), request.object)
        log.critical("none of them is taken for deleted", system=system, fault=str(fault))
        _bury(unit, system, request.object, fault, encode(request))
        return
    for record_id in missing:
        ask = Reread(request.object, record_id, request.correlation, use="batch")
        unit.send(f"rereads.{system}", native_key(system, record_id), ask)


def _say_swept(unit: Unit, system: str, request: Reread) -> None:
    """The same on a platform whose reads carry no version: intake knows which records there are, and hears this after all
    that was met."""
    change = read_change(system, request, "update", {}, request.version or "", None)
    unit.send(
        f"changes.{system}", request.way.encode(), Arrival(change, request.correlation, swept=True, use=request.use)
    )


def _still_unmet(unit: Unit, table: Table[KnownRow], key: bytes, full: int) -> bool:
    """The same with what this unit of work has put already."""
    row = unit.get(table, key)
    return row is not None and row.exists and row.full < full


def _as_asked(unit: Unit, system: str, request: Reread, row: Row) -> None:
    """A read without a version: at least as new as what asked for it."""
    operation: Operation = "update" if row.exists else "delete"
    change = read_change(system, request, operation, row.fields, request.version or "", row.changed_at)
    whole, answers = row.exists, request.answers
    _send(unit, system, Arrival(change, request.correlation, whole=whole, answers=answers, use=request.use))


def _send(unit: Unit, system: str, arrival: Arrival) -> None:
    unit.send(f"changes.{system}", native_key(system, arrival.change.record_id), arrival)


def _bury(
    unit: Unit,
    system: str,
    entity: str,
    fault: Exception,
    original: bytes,
    topic: Literal["rereads", "hints"] = "rereads",
) -> None:
    unit.count(system, entity, "received")
    unit.count(system, entity, "dead")
    told = described(original) if topic == "rereads" else {}
    context: dict[str, Any] = {
        "system": system,
        "entity": entity,
        **{name: told.get(name) for name in ("record_id", "correlation")},
    }
    way = {"topic": f"{topic}.{system}", "counted": f"{system}/{entity}"}
    unit.bury(dead_letter(fault, stage="reread", original=original, **way, **context))
