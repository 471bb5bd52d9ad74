"""One subscription to the simulated Pub/Sub API: flow control, keep-alives, and where it began (salesforce.md §2.1, §2.2).

Promises: events in replay order, never more than were asked for; a quiet subscription is told the latest replay id.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from isthmus.codecs.pubsub import pubsub_api_pb2 as api
from isthmus.simulators.salesforce import bus
from isthmus.simulators.salesforce.pubsub_refusals import (
    CORRUPTED,
    CUT,
    IDLE,
    NO_REPLAY_ID,
    NO_TOPIC,
    NOTHING_REQUESTED,
    OTHER_TOPIC,
    Refusal,
)

if TYPE_CHECKING:
    from isthmus.simulators.salesforce.pubsub import PubSub

MOST_OUTSTANDING = 100
LOOK_SECONDS = 0.25
TAIL = b"\x00\x00"


def replay_bytes(replay_id: int) -> bytes:
    """A replay id as the real server gives it: 8 bytes, and two more."""
    return replay_id.to_bytes(8, "big") + TAIL


class Subscription:
    """From its first request on. `broken`: it ends as soon as it looks."""

    def __init__(self, service: PubSub, first: api.FetchRequest) -> None:
        self._service, self._org = service, service.org
        self.channel = first.topic_name
        self.broken = False
        if not bus.exists(self._org, self.channel):
            raise NO_TOPIC
        self._place = self._start(first)
        self._latest = self._seen = first.replay_id or replay_bytes(self._last_before())
        self._waiting: deque[api.ConsumerEvent] = deque()
        self._pending = 0
        self._fault: Refusal | None = None
        self._now = asyncio.get_running_loop().time
        self._spoke = self._asked = self._now()
        self._ask(first)

    def _start(self, first: api.FetchRequest) -> int:
        if (first.replay_preset == api.CUSTOM) != bool(first.replay_id):
            raise NO_REPLAY_ID
        if first.replay_preset != api.CUSTOM:
            return bus.place_after(self._org, bus.KEPT if first.replay_preset == api.EARLIEST else bus.NEW)
        if len(first.replay_id) != len(replay_bytes(0)) or not first.replay_id.endswith(TAIL):
            raise CORRUPTED
        try:
            return bus.place_after(self._org, int.from_bytes(first.replay_id[:8], "big"))
        except KeyError:
            raise CORRUPTED from None

    def _last_before(self) -> int:
        return self._org.events[self._place - 1].replay_id if self._place else self._org.oldest_replay

    # -- what the client asks

    async def take(self, requests: AsyncIterator[api.FetchRequest]) -> None:
        """Heed the requests that follow the first."""
        async for request in requests:
            self._service.requests.append(request)
            try:
                if request.topic_name not in ("", self.channel):
                    raise OTHER_TOPIC
                self._ask(request)
            except Refusal as fault:
                self._fault = fault
            self._service.wake()

    def _ask(self, request: api.FetchRequest) -> None:
        if request.num_requested <= 0:
            raise NOTHING_REQUESTED
        self._pending = min(MOST_OUTSTANDING, self._pending + request.num_requested)
        self._asked = self._now()

    # -- what it is answered

    async def answer(self) -> api.FetchResponse:
        """The next answer, when there is one."""
        while True:
            news = self._service.news
            if self._fault is not None or self.broken:
                raise self._fault or CUT
            answer = None if self._service.silent else self._answer()
            if answer is not None:
                self._spoke = self._now()
                return answer
            if not self._pending and self._now() - self._asked >= self._service.idle:
                raise IDLE
            try:
                async with asyncio.timeout(min(LOOK_SECONDS, self._service.keepalive, self._service.idle)):
                    await news.wait()
            except TimeoutError:
                continue

    def _answer(self) -> api.FetchResponse | None:
        self._fill()
        events = [self._waiting.popleft() for _ in range(min(self._pending, len(self._waiting)))]
        if not events and self._now() - self._spoke < self._service.keepalive:
            return None
        self._pending -= len(events)
        if events and not self._pending:
            self._asked = self._now()
        self._latest = self._told_up_to(events)
        return api.FetchResponse(
            events=events, latest_replay_id=self._latest, rpc_id=str(uuid.uuid4()), pending_num_requested=self._pending
        )

    def _told_up_to(self, events: list[api.ConsumerEvent]) -> bytes:
        """The last replay id of which nothing is left to send."""
        if not self._waiting:
            return self._seen
        whole = [event.replay_id for event in events if event.replay_id != self._waiting[0].replay_id]
        return whole[-1] if whole else self._latest

    def _fill(self) -> None:
        """Look at events until there is enough to send; those that the channel does not carry are passed."""
        self._place = min(self._place, len(self._org.events))
        while self._place < len(self._org.events) and len(self._waiting) < self._pending:
            event = self._org.events[self._place]
            self._place += 1
            told = bus.told(self._org, self.channel, event)
            self._waiting += [self._service.consumer_event(one, event.replay_id) for one in told]
            self._seen = replay_bytes(event.replay_id)
