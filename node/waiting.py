"""The records that wait for a lane: many small ones, or few large ones.

Promises: whoever brings one more than there is room for waits, so a slow lane slows its source down, and memory stays.
"""

from __future__ import annotations

import asyncio
from typing import Any

WAITING_RECORDS = 256
WAITING_BYTES = 8 << 20
UNIT_BYTES = 4 << 20


class Waiting(asyncio.Queue[Any]):
    """Faust's events, in their order."""

    def __init__(self) -> None:
        super().__init__(maxsize=WAITING_RECORDS)

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self._bytes = 0

    def _put(self, item: Any) -> None:
        super()._put(item)
        self._bytes += _size(item)

    def _get(self) -> Any:
        item = super()._get()
        self._bytes -= _size(item)
        return item

    def full(self) -> bool:
        """Has one more to wait outside?"""
        return super().full() or self._bytes >= WAITING_BYTES

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
        while not self.empty():
            self.get_nowait()

    async def swallow(self) -> None:
        """Forget whatever comes, for ever, so that nobody waits outside."""
        while True:
            await self.get()


def _size(event: Any) -> int:
    return len(event.message.value or b"")
