"""A place that the org has forgotten: what may have changed since is read, and listening begins with all that is kept
(salesforce.md §1.4, §1.5).

Promises: nothing is passed over in silence: while it is healed, every delivery says so, and the position stays the lost
one, so that a crash begins it again. Reads count as newer than the last change that was heard and older than the next;
changes that are told again are repeats. Where deletions are not told any more every record is read, and the end of it is
said, so that what it did not meet can be looked for. Another org's position, and one that does not even say which org's it
is, stay lost.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog
from msgspec.structs import replace as struct_replace

from isthmus.codecs.arrival import Reread
from isthmus.config.errors import ReplayLost
from isthmus.systems.protocol import Delivery
from isthmus.systems.salesforce.overflow import MARGIN, READS_A_DELIVERY, Scan, written
from isthmus.systems.salesforce.position import OTHER_ORG, Known, known_of

# An org tells deletions for 15 days (§4.7).
TOLD = timedelta(days=14)
# Before any change: commits are numbered from one.
BEGINNING = f"{0:020d}.{0:010d}"

Follow = Callable[[str | None], AsyncGenerator[Delivery, None]]
log = structlog.get_logger()


async def healed(
    follow: Follow, position: str | None, again: Callable[[Known], str], scan: Scan, objects: Collection[str]
) -> AsyncGenerator[Delivery, None]:
    """The deliveries after a position. `again`: the position from which all that is kept is told."""
    while True:
        try:
            async with contextlib.aclosing(follow(position)) as deliveries:
                async for delivery in deliveries:
                    position = delivery.position
                    yield delivery
            return
        except ReplayLost as fault:
            known = known_of(position)
            if fault.code == OTHER_ORG or not (known.org or known.version):
                raise
            alert = f"{fault} What may have changed since {known.at or 'ever'} is being read."
        log.critical("changes may be lost: what may have changed is read", system="salesforce", fault=alert)
        for object in objects:
            async for reads in _reads(object, known, scan):
                yield Delivery((), position or "", b"", reads=reads, alert=alert)
        # Healed twice with nothing heard in between, the second reads are no repeats of the first.
        position = again(replace(known, version=_newer(known)))
        yield Delivery((), position, b"")
        log.warning("all that may have changed is on its way to be read", system="salesforce", after=known.at)


async def _reads(object: str, known: Known, scan: Scan) -> AsyncIterator[tuple[Reread, ...]]:
    some: list[Reread] = []
    async for ask in _asks(object, known, scan):
        some.append(ask)
        if len(some) == READS_A_DELIVERY:
            yield tuple(some)
            some = []
    if some:
        yield tuple(some)


async def _asks(object: str, known: Known, scan: Scan) -> AsyncIterator[Reread]:
    """A read for each record that changed or went since; where that is too long ago to be told, for all there are and
    all that are known to have gone, and last the end of a full read."""
    ask = Reread(object, "", f"healed:{object}@{known.version}", _newer(known), use="batch")
    if known.at:
        try:
            async for row in scan(object, written(datetime.fromisoformat(known.at) - MARGIN)):
                yield struct_replace(ask, record_id=row.record_id)
            return
        except ReplayLost as fault:
            log.critical("older deletions are not told any more", object=object, fault=str(fault), hint=fault.hint)
    async for row in scan(object, None):
        yield struct_replace(ask, record_id=row.record_id)
    async for row in scan(object, written(datetime.now(UTC) - TOLD)):
        if not row.exists:
            yield struct_replace(ask, record_id=row.record_id)
    yield struct_replace(ask, swept=True)


def _newer(known: Known) -> str:
    """A version after all that was heard, and before the next."""
    return f"{known.version or BEGINNING}~"
