"""What an overflow hides: more changed in one transaction than the bus tells, so it is scanned (salesforce.md §1.11).

Promises: an overflow becomes requests to read every record that was changed or deleted since before its transaction, all
of them on their way before the position passes it; what cannot be scanned now fails the stream, which begins there again.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from isthmus.codecs.arrival import Reread
from isthmus.codecs.change import Change
from isthmus.systems.protocol import Delivery, Row

# A transaction may have begun long before it was committed; rows bear the time of their own change.
MARGIN = timedelta(minutes=30)
READS_A_DELIVERY = 500
EVERY = "*"

Scan = Callable[[str, str | None], AsyncIterator[Row]]

log = structlog.get_logger()


async def opened(
    deliveries: AsyncGenerator[Delivery, None], position: str | None, scan: Scan, objects: Collection[str]
) -> AsyncGenerator[Delivery, None]:
    """The same deliveries, with reads in the place of overflows of these objects."""
    async with contextlib.aclosing(deliveries):
        async for delivery in deliveries:
            hidden = [one for one in delivery.changes if one.operation == "overflow" and one.entity in objects]
            for change in hidden:
                async for reads in _reads(change, scan):
                    yield Delivery((), position or delivery.position, b"", reads=reads)
            position = delivery.position
            yield replace(delivery, changes=tuple(one for one in delivery.changes if one not in hidden))


async def _reads(change: Change, scan: Scan) -> AsyncIterator[tuple[Reread, ...]]:
    since = begun(change)
    log.warning("more changed than is told: the object is scanned", object=change.entity, since=since)
    some: list[Reread] = []
    async for row in scan(change.entity, since):
        cause = change.transaction or change.change_id
        some.append(Reread(change.entity, row.record_id, cause, change.version, use="batch"))
        if len(some) == READS_A_DELIVERY:
            yield tuple(some)
            some = []
    if some:
        yield tuple(some)


def begun(change: Change) -> str | None:
    """A time before the change began; None where it touched every record, which leaves no date on them."""
    if change.changed_at is None or EVERY in change.record_id:
        return None
    return written(datetime.fromisoformat(change.changed_at) - MARGIN)


def written(at: datetime) -> str:
    """A time as `scan` takes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
