"""The records that wait for a lane: many small ones, or few large ones.

Promises: whoever brings one more than there is room for waits, so a slow lane slows its source down, and memory stays. A
`patient` lane, one that waits for others itself, asks in time that no more of its partition is fetched (`high`), and says
when it has room again, so that whoever brings it records does not wait and brings others theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

WAITING_RECORDS = 256
WAITING_BYTES = 8 << 20
UNIT_BYTES = 4 << 20
# What Faust has fetched and not handed over yet has to find room after the last moment at which it is told to stop.
PATIENT_RECORDS = 32_768
PATIENT_BYTES = 24 << 20


class Waiting(asyncio.Queue[Any]):
    """Faust's events, in their order."""

    def __init__(self, *, patient: bool = False) -> None:
        self._most_bytes = PATIENT_BYTES if patient else WAITING_BYTES
        self._patient = patient
        self._relief: Callable[[], None] | None = None
        super().__init__(maxsize=PATIENT_RECORDS if patient else WAITING_RECORDS)

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self._bytes = 0

    def _put(self, item: Any) -> None:
        super()._put(item)
        self._bytes += _size(item)

    def _get(self) -> Any:
        item = super()._get()
        self._bytes -= _size(item)
        if self._relief is not None and self.qsize() < WAITING_RECORDS // 2 and self._bytes < WAITING_BYTES // 2:
            relief, self._relief = self._relief, None
            relief()
        return item

    def full(self) -> bool:
        """Has one more to wait outside?"""
        return super().full() or self._bytes >= self._most_bytes

    def high(self, relief: Callable[[], None]) -> bool:
        """Is no more to be fetched for a while? Then `relief` is called, once, when there is room again."""
        if not self._patient or (self.qsize() < WAITING_RECORDS and self._bytes < WAITING_BYTES):
            return False
        self._relief = relief
        return True

    async def together(self, patience: float | None) -> list[Any]:
        """What makes one unit of work: at least one record, with those that already wait; none where none comes within so
        many seconds (None: as long as it takes)."""
        try:
            # Not wait_for: in Python 3.11 it swallows a cancellation where a record is there at the same time.
            async with asyncio.timeout(patience):
                events = [await self.get()]
        except TimeoutError:
            return []
        size = _size(events[0])
        while size < UNIT_BYTES and not self.empty():
            events.append(self.get_nowait())
            size += _size(events[-1])
        return events

    def clear(self) -> None:
        """Forget them, and let in whoever waits outside."""
        self._relief = None
        while not self.empty():
            self.get_nowait()

    async def swallow(self) -> None:
        """Forget whatever comes, for ever, so that nobody waits outside."""
        while True:
            await self.get()


def _size(event: Any) -> int:
    return len(event.message.value or b"")
