"""source: runs each platform's change stream on the owner of its partition and puts what it says on `changes.<system>`.

Promises: the position and the changes before it are one transaction, so a crash repeats nothing and skips nothing. A
message that cannot be decoded becomes a dead letter with its original; a position that the platform has forgotten, and
that its adapter cannot heal, stops the source loudly and is never skipped over.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import cast

import stamina
import structlog
from msgspec.structs import replace

from isthmus.codecs.arrival import Arrival, Reread, native_key
from isthmus.codecs.dead import dead_letter
from isthmus.config.errors import PlatformError, ReplayLost
from isthmus.config.mapping import Mappings
from isthmus.systems.protocol import Delivery, System
from isthmus.tables.positions import POSITIONS
from isthmus.tables.stage import Batch, Input, Pen, Stage
from isthmus.tables.unit import Unit, partition_of

FROM_THE_START = "-2"
UNIT_DELIVERIES = 500

log = structlog.get_logger()


def stage(
    systems: Mapping[str, System], mappings: Mappings, owner: Callable[[str], int], faults: dict[str, str]
) -> Stage:
    """`owner` gives the partition that runs a source; `faults` shows people why one does not run."""

    async def run(pen: Pen) -> None:
        mine = [system for name, system in systems.items() if owner(name) == pen.partition]
        await asyncio.gather(*(follow(system, mappings, pen, faults) for system in mine))

    return Stage("source", (Input("sources", None),), (POSITIONS,), _nothing, _bury, source=run)


def _nothing(unit: Unit, batches: Sequence[Batch]) -> None:
    """The `sources` topic only says who owns which source."""


def _bury(unit: Unit, raw: bytes, fault: Exception) -> None:
    """Nothing is read from it either."""


async def follow(system: System, mappings: Mappings, pen: Pen, faults: dict[str, str]) -> None:
    """Follow one stream from its stored position, opening it again after faults, until cancelled."""
    try:
        await _again_and_again(system, mappings, pen, faults)
    finally:
        faults.pop(system.name, None)


async def _again_and_again(system: System, mappings: Mappings, pen: Pen, faults: dict[str, str]) -> None:
    async for attempt in stamina.retry_context(PlatformError, attempts=None, timeout=None, wait_max=30.0):
        with attempt:
            try:
                await _follow(system, mappings, pen, faults)
            except ReplayLost as fault:
                faults[system.name] = f"{fault} {fault.hint}"
                log.critical("changes may be lost: the source stands still", system=system.name, fault=str(fault))
                await asyncio.Event().wait()


async def _follow(system: System, mappings: Mappings, pen: Pen, faults: dict[str, str]) -> None:
    raw = pen.view(POSITIONS.name).get(system.name.encode())
    position = POSITIONS.decode(raw) if raw is not None else FROM_THE_START
    waiting: asyncio.Queue[Delivery] = asyncio.Queue(maxsize=UNIT_DELIVERIES)
    listening = asyncio.create_task(_listen(system, position, waiting))
    writing = asyncio.create_task(_write(system.name, mappings, pen, waiting, faults))
    try:
        await asyncio.wait({listening, writing}, return_when=asyncio.FIRST_COMPLETED)
        # What was heard before the stream ended is written first: its platform may not say it again.
        written = asyncio.create_task(waiting.join())
        await asyncio.wait({written, writing}, return_when=asyncio.FIRST_COMPLETED)
        written.cancel()
        for ended in (writing, listening):
            if ended.done():
                ended.result()
    finally:
        listening.cancel()
        writing.cancel()
        await asyncio.gather(listening, writing, return_exceptions=True)


async def _listen(system: System, position: str, waiting: asyncio.Queue[Delivery]) -> None:
    # Closed at once when we are cancelled, so that the platform is told goodbye.
    async with contextlib.aclosing(cast(AsyncGenerator[Delivery, None], system.changes(position))) as deliveries:
        async for delivery in deliveries:
            await waiting.put(delivery)
            if delivery.reads:
                # A page of a feed is large, and its platform is asked for the next only when this one is durable.
                await waiting.join()


async def _write(
    system: str, mappings: Mappings, pen: Pen, waiting: asyncio.Queue[Delivery], faults: dict[str, str]
) -> None:
    while True:
        deliveries = [await waiting.get()]
        while len(deliveries) < UNIT_DELIVERIES and not waiting.empty():
            deliveries.append(waiting.get_nowait())
        await pen.commit(partial(record, system=system, mappings=mappings, deliveries=tuple(deliveries)))
        _show(system, deliveries[-1].alert, faults)
        for _ in deliveries:
            waiting.task_done()


def _show(system: str, alert: str | None, faults: dict[str, str]) -> None:
    if alert is None:
        faults.pop(system, None)
    else:
        faults[system] = alert


def record(unit: Unit, system: str, mappings: Mappings, deliveries: Iterable[Delivery]) -> None:
    """Put deliveries on their way and the position after them in the table."""
    for delivery in deliveries:
        if delivery.error is not None:
            unit.count(system, "unknown", "received")
            unit.count(system, "unknown", "dead")
            counted = f"{system}/unknown"
            letter = dead_letter(delivery.error, stage="source", original=delivery.raw, counted=counted, system=system)
            unit.bury(letter)
        for change in delivery.changes:
            if mappings.of_object(system, change.entity) is not None:
                arrival = Arrival(change, correlation=change.transaction or change.change_id)
                unit.send(f"changes.{system}", native_key(system, change.record_id), arrival)
        for read in delivery.reads:
            if mappings.of_object(system, read.object) is not None:
                _ask(unit, system, read)
        unit.put(POSITIONS, system.encode(), delivery.position)


def _ask(unit: Unit, system: str, read: Reread) -> None:
    if read.swept:
        spread(unit, system, read)
    else:
        unit.send(f"rereads.{system}", native_key(system, read.record_id), read)


def spread(unit: Unit, system: str, swept: Reread) -> None:
    """Tell every partition that a full read is over."""
    for key in every_partition(unit.partitions):
        unit.send(f"rereads.{system}", key, replace(swept, way=key.decode()))


def every_partition(partitions: int) -> list[bytes]:
    """A key for each partition, in their order."""
    found: dict[int, bytes] = {}
    for number in count():
        if len(found) == partitions:
            break
        found.setdefault(partition_of(b"%d" % number, partitions), b"%d" % number)
    return [found[partition] for partition in range(partitions)]
