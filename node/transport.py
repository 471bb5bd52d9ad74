"""Faust's Kafka transport, as far as ours differs: committed records only, soon, and many at a time.

Promises: no stage ever sees a frame of an aborted transaction (Faust reads committed records only under `exactly_once`,
whose other half, its own transactions, loses and repeats events: docs/adr/0002); a frame is fetched within FETCH_WAIT_MS;
what a fetch brought of a partition is one message of Faust's (docs/adr/0006), and says which seek it follows, and which
record; nothing is dropped for its offset, because markers know better; the consumer is touched on its own thread alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

# Faust asks the broker to hold a fetch for 1,500 ms. aiokafka has one fetch under way and leaves out of it the partitions
# whose records are still being handed over, so those would wait for as long as nothing comes for the others.
FETCH_WAIT_MS = 10


# The seek that nobody of ours asked for.
STRANGE = -1


class Fetched(list[Any]):
    """The records of a partition that a fetch brought. `seek`: the number of the last seek of the partition; `after`: the
    offset of the record that was fetched before them since then, None where they are the first."""

    seek: int = STRANGE
    after: int | None = None


class ReadCommittedThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The consumer's thread."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._seeks: dict[TP, int] = {}
        self._newest: dict[TP, int] = {}

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def _fetch_records(self, *arguments: Any, **options: Any) -> dict[TP, Fetched]:
        found = await super()._fetch_records(*arguments, **options)
        return {where: self._fetched(where, records) for where, records in found.items()}

    def _fetched(self, where: TP, records: list[Any]) -> Fetched:
        fetched = Fetched(records)
        fetched.seek, fetched.after = self._seeks.get(where, STRANGE), self._newest.get(where)
        if records:
            self._newest[where] = records[-1].offset
        return fetched

    def seek_as(self, where: TP, offset: int, number: int) -> None:
        """Go on at this offset; what is fetched from now on says this number."""
        self._seeks[where] = number
        self._newest.pop(where, None)
        self._ensure_consumer().seek(where, offset)

    async def seek_to_committed(self) -> Any:
        """Faust's own idea of where to go on."""
        self._seeks.clear()
        return await super().seek_to_committed()


class ReadCommittedConsumer(driver.Consumer):  # type: ignore[misc]
    """The consumer, on its own thread."""

    def _new_consumer_thread(self) -> ReadCommittedThread:
        return ReadCommittedThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """What a fetch brought, one message a partition, whose value is the list of its records. Faust takes a task or
        two for a message, and with a gap of offsets before it (the end of every transaction is one) another turn of the
        loop and a tree that grows with all that is not acknowledged yet."""
        records, active = await self._wait_next_records(timeout)
        for where, some in (records or {}).items():
            if self.should_stop or not self.flow_active:
                break
            # What was fetched of a partition before it was to be left alone is handed over all the same.
            if some and (active is None or where in active or where in self._buffered_partitions):
                message = self._to_message(where, some[-1])
                message.value = some
                self._read_offset[where] = None  # or what was sought would be dropped where it is behind this
                yield where, message

    def _new_offset(self, tp: TP) -> int | None:
        """What to commit: a hint for people who watch the group's lag, no more."""
        acked = self._acked[tp]
        if not acked:
            return None
        newest = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return int(newest) + 1

    async def seek_as(self, where: TP, offset: int, number: int) -> None:
        """Go on at this offset; what is fetched from now on says this number."""
        # From Faust's own thread it takes records away from beneath a fetch that is handing them over.
        await self._thread.call_thread(self._thread.seek_as, where, offset, number)

    async def _seek(self, partition: TP, offset: int) -> None:
        await self.seek_as(partition, offset, STRANGE)


class ReadCommittedTransport(driver.Transport):  # type: ignore[misc]
    """The transport that makes such consumers."""

    Consumer = ReadCommittedConsumer


async def _nothing() -> None:
    """No hook."""


class App(faust.App):  # type: ignore[misc]
    """A Faust app whose stages read committed frames; `opening` runs before anything starts, `closing` before it stops."""

    opening: Callable[[], Awaitable[None]] = staticmethod(_nothing)
    closing: Callable[[], Awaitable[None]] = staticmethod(_nothing)

    def _new_transport(self) -> ReadCommittedTransport:
        return ReadCommittedTransport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        Path(self.conf.datadir).mkdir(parents=True, exist_ok=True)
        super()._create_directories()

    async def on_first_start(self) -> None:
        """Open what the stages need before partitions are assigned."""
        await super().on_first_start()
        await self.opening()

    async def on_stop(self) -> None:
        """Close it while Kafka is still there."""
        await self.closing()
        await super().on_stop()
