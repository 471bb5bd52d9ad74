"""Feeding: hands each lane what Faust brings of its partition, in the order in which Kafka has it.

Promises: what was fetched before a seek is passed over; where something between was dropped, or somebody else sought, the
partition is read again from the lane's marker. A lane that is slow has no more of its partition fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import structlog
from faust.types import TP

from isthmus.node.lane import Lane
from isthmus.node.transport import STRANGE
from isthmus.tables.stage import Stage

log = structlog.get_logger()


class Brought(NamedTuple):
    """A record that Faust brought, and how to say that it is done with."""

    message: Any
    ack: Callable[[], Any]


@dataclass(slots=True)
class Course:
    """How a partition is read: since which seek, and up to which record it was handed over."""

    seek: int
    newest: int | None = None


def _nothing() -> None:
    """Nobody waits to hear of it."""


class Feed:
    """Of a worker. `lane(stage, partition)`: the lane that lives here, if one does."""

    def __init__(self, app: Any, lane: Callable[[str, int], Lane | None]) -> None:
        self._app = app
        self._lane = lane
        self._courses: dict[TP, Course] = {}
        self._seeks = count()

    async def offer(self, stage: Stage, event: Any) -> None:
        """Hand a lane what a fetch brought of its partition (node/transport.py)."""
        if not await self._follows(stage, event.message):
            event.ack()
            return
        *before, last = event.message.value
        for record in before:
            await self._hand(stage, Brought(record, _nothing))
        await self._hand(stage, Brought(last, event.ack))

    async def _follows(self, stage: Stage, message: Any) -> bool:
        """Is it what comes next since we last sought? What was fetched before that is passed over, it comes again; where
        something between was dropped, or somebody else sought, the partition is read again from the marker. Frames show
        that by their numbers, but not what strangers write between them."""
        where, fetched = TP(message.topic, message.partition), message.value
        lane, course = self._lane(stage.name, message.partition), self._courses.get(where)
        if lane is None or lane.alarm is not None or course is None:
            return False
        if (fetched.seek, fetched.after) == (course.seek, course.newest):
            course.newest = fetched[-1].offset
            return True
        if fetched.seek in (course.seek, STRANGE):
            log.warning("records were dropped beneath us: reading again", topic=where.topic, partition=where.partition)
            await self.seek(where.topic, where.partition, lane.marker.resume_at(where.topic) or 0)
        return False

    async def _hand(self, stage: Stage, brought: Brought) -> None:
        message = brought.message
        lane = self._lane(stage.name, message.partition)
        if lane is None or lane.alarm is not None:
            return
        where, consumer = TP(message.topic, message.partition), self._app.consumer
        if lane.queue.high(partial(consumer.on_buffer_drop, where)):
            consumer.on_buffer_full(where)
        await lane.queue.put(brought)

    async def seek(self, topic: str, partition: int, offset: int) -> None:
        """Read a partition from this offset on, if it is ours; what was fetched of it before is passed over."""
        consumer, where = self._app.consumer, TP(topic, partition)
        if where in consumer.assignment():
            course = self._courses[where] = Course(next(self._seeks))
            await consumer.seek_as(where, offset, course.seek)

    def forget(self) -> None:
        """Hand over nothing more of any partition until it is sought."""
        self._courses.clear()
