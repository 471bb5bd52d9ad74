"""The webhook's door: takes a platform's webhooks and events as hints and answers only when Kafka has them for good.

Promises: 2xx means the hint is on all in-sync replicas; 503, the one status Dynamics tries again after, means it is not
(dynamics.md §1.3, §5.1); a wrong secret is 401 and leaves no trace in Kafka, a body larger than the platform sends is 413.
What was taken lately is not stored again: nothing in it is signed or dated, so one that is played back cannot be told from
a job that an administrator resumes; either is harmless, because the row is read, and costs nothing here.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog
from aiohttp import web
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from isthmus.codecs.arrival import native_key
from isthmus.tables.unit import partition_of

AT_ONCE = 256
PATIENCE = 20.0
# The platform cuts what is over 256 KB (dynamics.md §1.3).
BODY_BYTES = 1 << 19
REMEMBERED = 4096
KEPT = ("x-ms-dynamics-", "x-ms-correlation-request-id")

log = structlog.get_logger()
Authenticate = Callable[[web.Request], bool]


class Named(NamedTuple):
    """What a body says it is: the record it is about, and what is the same on every delivery of it."""

    record_id: str
    change_id: str


Name = Callable[[bytes], Named | None]


class Hints:
    """`name` names a body where it can; the rest goes to one partition and is judged by its reader. `system` is who
    speaks. `held`: webhooks that wait for their answer now."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        partitions: int,
        authenticate: Authenticate,
        name: Name,
        system: str = "dynamics",
    ) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=2, max_request_size=BODY_BYTES
        )
        self._topic = topic
        self._partitions = partitions
        self._authenticate = authenticate
        self._name = name
        self._system = system
        self.held = 0
        self._taken: OrderedDict[str, None] = OrderedDict()

    async def open(self) -> None:
        """Connect to Kafka."""
        await self._producer.start()

    async def close(self) -> None:
        """Send what waits and disconnect."""
        await self._producer.stop()

    async def receive(self, request: web.Request) -> web.Response:
        """One webhook."""
        if not self._authenticate(request):
            return web.json_response({"error": "unauthorized"}, status=401)
        if request.headers.get("x-ms-dynamics-request-name") == "URL_VALIDATION":
            return web.Response(status=200)
        if self.held >= AT_ONCE:
            return web.json_response({"error": "busy"}, status=503)
        self.held += 1
        try:
            return await self._store(await request.read(), _kept(request))
        finally:
            self.held -= 1

    async def _store(self, body: bytes, headers: Sequence[tuple[str, bytes]]) -> web.Response:
        named = self._name(body)
        if named is not None and named.change_id in self._taken:
            return web.Response(status=204)
        key = native_key(self._system, named.record_id if named else "")
        partition = partition_of(key, self._partitions)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._producer.send_and_wait(
                    self._topic, body, key=key, partition=partition, headers=list(headers)
                )
        except (KafkaError, TimeoutError) as fault:
            log.warning("a webhook was refused: Kafka did not take it", fault=repr(fault))
            return web.json_response({"error": "unavailable"}, status=503)
        if named is not None:
            self._remember(named.change_id)
        return web.Response(status=204)

    def _remember(self, change_id: str) -> None:
        self._taken[change_id] = None
        if len(self._taken) > REMEMBERED:
            self._taken.popitem(last=False)


def _kept(request: web.Request) -> list[tuple[str, bytes]]:
    """The platform's own headers; never those that may carry the secret."""
    return [(name.lower(), value.encode()) for name, value in request.headers.items() if name.lower().startswith(KEPT)]
