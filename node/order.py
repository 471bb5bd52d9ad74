"""Order: which of the records that Faust brings a lane does next, whatever Faust drops, repeats or reorders.

Promises: the records of a topic are done in their numbered order, once each; a repeat is told by its number; a record that
something beneath us dropped is noticed and read again; where Kafka itself has lost one, there is an alarm, and nothing
more is done.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from isthmus.codecs.frames import Stamp, stamp_of
from isthmus.tables.marker import Marker, Verdict

REWIND_SECONDS = 5.0
AWAITED_SECONDS = 30.0

Seek = Callable[[str, int, int], Awaitable[None]]
log = structlog.get_logger()


@dataclass(slots=True)
class Gap:
    """Records of a topic that are missing: the offset of the first one that came too early, when that was noticed, and
    when the topic was last read again (seconds of the monotonic clock)."""

    offset: int
    seen: float
    rewound: float


class Order:
    """Of one lane. `seek(topic, partition, offset)` rewinds the consumer; `alarm`: why nothing is done any more; `lagging`:
    does the marker know of more than what is written down?"""

    def __init__(self, lane: str, seek: Seek) -> None:
        self.marker = Marker()
        self.alarm: str | None = None
        self.lagging = False
        self.gaps: dict[str, Gap] = {}
        self._lane = lane
        self._seek = seek

    async def take(self, event: Any) -> bool:
        """Is this record the next one to do? Then it counts as done; what is a repeat is acknowledged."""
        if self.alarm is not None:
            return False
        message = event.message
        stamp = stamp_of(message.headers)
        verdict = self.marker.judge(message.topic, message.offset, stamp)
        if verdict is Verdict.REPEAT:
            self.lagging |= stamp is not None and self.marker.passed(message.topic, message.offset, stamp)
            event.ack()
            return False
        if self._comes_again(message):
            return False
        if verdict is Verdict.HOLE and not (stamp is None and self._came_again(message)):
            await self._miss(message, stamp)
            return False
        self.gaps.pop(message.topic, None)
        self.marker.done(message.topic, message.offset, stamp)
        return True

    def _came_again(self, message: Any) -> bool:
        """Did a rewind bring the same record again? Then Kafka has none before it; offsets, unlike numbers, may skip."""
        gap = self.gaps.get(message.topic)
        return gap is not None and message.offset == gap.offset

    def _comes_again(self, message: Any) -> bool:
        """Was it on its way when we began to read again from before it? Taken now, it would hide what lies between: a
        record without a number is told from a repeat by its offset alone."""
        gap = self.gaps.get(message.topic)
        return gap is not None and message.offset > gap.offset and time.monotonic() - gap.rewound < AWAITED_SECONDS

    async def _miss(self, message: Any, stamp: Stamp | None) -> None:
        """Something before this record is missing: read again, or stand still where Kafka itself has lost it."""
        if self._came_again(message) and time.monotonic() - self.gaps[message.topic].seen >= REWIND_SECONDS:
            self.stand_still(f"{place(message)} came, but frames before it are not in Kafka any more: changes are lost")
        else:
            await self._rewind(message, stamp)

    def stand_still(self, alarm: str) -> None:
        """Do nothing more until a person has looked: going on would hide a loss."""
        self.alarm = alarm
        log.critical("this lane stands still", lane=self._lane, alarm=alarm)

    async def _rewind(self, message: Any, stamp: Stamp | None) -> None:
        """Read the topic again from where we are; what was already on its way meanwhile asks for no second rewind."""
        topic, now = message.topic, time.monotonic()
        gap = self.gaps.setdefault(topic, Gap(message.offset, now, now - REWIND_SECONDS))
        gap.offset = min(gap.offset, message.offset)
        if now - gap.rewound < REWIND_SECONDS:
            return
        gap.rewound = now
        log.warning("a record was dropped beneath us: reading again", lane=self._lane, topic=topic)
        await self._seek(topic, message.partition, self.marker.missing_from(topic, stamp))


def place(message: Any) -> str:
    """Where a record stands in Kafka: topic/partition/offset."""
    return f"{message.topic}/{message.partition}/{message.offset}"
