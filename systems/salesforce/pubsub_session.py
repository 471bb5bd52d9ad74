"""One session of the Pub/Sub API: a subscription for each channel, from a position to the first fault.

Promises: events of a channel come in the server's order, none missing; then one PlatformError, and no more. Never more is
asked for than was taken, and more is asked for before what was asked for has run out. A quiet channel tells how far it
was read, and a silent one ends the session (salesforce.md §2.2).
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import Any

import orjson

from isthmus.codecs.pubsub import pubsub_api_pb2 as api
from isthmus.codecs.salesforce_pubsub import decode
from isthmus.config.errors import DecodeError, PlatformError, TransientError
from isthmus.systems.http import Token
from isthmus.systems.salesforce.heard import Heard
from isthmus.systems.salesforce.names import as_mapped
from isthmus.systems.salesforce.position import EVERYTHING, FROM_NOW_ON, Position
from isthmus.systems.salesforce.pubsub import Calls, Schemas

WINDOW = 100
TOP_UP = 50
# Salesforce speaks at least every 270 s.
PATIENCE_SECONDS = 330.0


class PubSubSession:
    """Subscriptions to the channels of a position. `patience`: so many seconds may pass between two answers."""

    def __init__(
        self, token: Token, url: str, at: Position, schemas: Schemas, patience: float = PATIENCE_SECONDS
    ) -> None:
        self.token = token
        self._calls = Calls(url, token)
        self._at, self._schemas, self._patience = at, schemas, patience
        self._heard: asyncio.Queue[Sequence[Heard] | PlatformError] = asyncio.Queue(maxsize=1)
        self._pumps: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Subscribe; what is wrong with it comes out of `next`."""
        self._pumps = [asyncio.create_task(self._pump(*place)) for place in self._at.places.items()]

    async def next(self) -> Sequence[Heard]:
        """The next answer's events, perhaps none; PlatformError once the session is over."""
        heard = await self._heard.get()
        if isinstance(heard, PlatformError):
            raise heard
        return heard

    async def close(self) -> None:
        """Leave; safe at any time."""
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        await self._calls.close()

    async def _pump(self, channel: str, place: str) -> None:
        try:
            await self._listen(channel, place)
        except PlatformError as fault:
            await self._heard.put(fault)
        # Whatever it is, who waits for the next answer has to hear of it.
        except Exception as fault:
            await self._heard.put(TransientError(f"the Pub/Sub API failed: {type(fault).__name__} {fault}"))

    async def _listen(self, channel: str, place: str) -> None:
        subscription = self._calls.subscribe()
        await subscription.ask(first_request(channel, place))
        while True:
            answer = await subscription.answer(self._patience)
            await self._heard.put(await self._told(channel, answer))
            if answer.pending_num_requested <= TOP_UP:
                await subscription.ask(api.FetchRequest(num_requested=WINDOW - answer.pending_num_requested))

    async def _told(self, channel: str, answer: api.FetchResponse) -> Sequence[Heard]:
        heard = [await self._event(channel, event) for event in answer.events]
        reached = read_up_to(answer)
        return heard if reached is None else [*heard, Heard(channel, reached)]

    async def _event(self, channel: str, event: api.ConsumerEvent) -> Heard:
        place, raw = _text(event.replay_id) or None, _raw(channel, event)
        try:
            schema = await self._schemas.of(event.event.schema_id, self._calls)
            changes = tuple(as_mapped(change) for change in decode(event.event.payload, schema))
        except DecodeError as fault:
            return Heard(channel, place, raw, error=fault)
        return Heard(channel, place, raw, changes)


def read_up_to(answer: api.FetchResponse) -> str | None:
    """How far beyond its events an answer says that the channel was read; None where it does not say.

    While nothing is requested it cannot say: events may wait that the latest replay id has passed.
    """
    last = answer.events[-1].replay_id if answer.events else b""
    if answer.pending_num_requested <= 0 or answer.latest_replay_id in (b"", last):
        return None
    return _text(answer.latest_replay_id)


def first_request(channel: str, place: str) -> api.FetchRequest:
    """What a subscription begins with."""
    begin: dict[str, Any] = {"topic_name": channel, "num_requested": WINDOW}
    if place in (EVERYTHING, FROM_NOW_ON):
        return api.FetchRequest(**begin, replay_preset=api.EARLIEST if place == EVERYTHING else api.LATEST)
    return api.FetchRequest(**begin, replay_preset=api.CUSTOM, replay_id=base64.b64decode(place))


def _text(replay_id: bytes) -> str:
    return base64.b64encode(replay_id).decode()


def _raw(channel: str, event: api.ConsumerEvent) -> bytes:
    """An event as its dead letter keeps it: all that it takes to decode it again."""
    told = event.event
    return orjson.dumps(
        {
            "channel": channel,
            "id": told.id,
            "schemaId": told.schema_id,
            "payload": _text(told.payload),
            "replayId": _text(event.replay_id),
        }
    )
