"""Faust's Kafka transport, with two differences: its consumer reads committed records only, and does not wait long.

Promises: no stage ever sees a frame of an aborted transaction (Faust reads committed records only under `exactly_once`,
whose other half, its own transactions, loses and repeats events: docs/adr/0002); a frame is fetched within FETCH_WAIT_MS.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver

# Faust asks the broker to hold a fetch for 1,500 ms. aiokafka has one fetch under way and leaves out of it the partitions
# whose records are still being handed over, so those would wait for as long as nothing comes for the others.
FETCH_WAIT_MS = 10


class ReadCommittedThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The consumer's thread."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer


class ReadCommittedConsumer(driver.Consumer):  # type: ignore[misc]
    """The consumer, on its own thread."""

    def _new_consumer_thread(self) -> ReadCommittedThread:
        return ReadCommittedThread(self, loop=self.loop, beacon=self.beacon)


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
