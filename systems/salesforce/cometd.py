"""One CometD session of a Salesforce org, by aiosfstream-ng, kept honest.

The library goes on after a lost answer or a lost session: it asks again with the old client id, or resubscribes where
it first began, and what the lost answer held is gone (salesforce.md §1.3, §6, §7). So a session here is for one life:
the first sign of trouble ends it, long quiet too, and the caller opens the next one after the last event it got.

Promises: events come in the server's order, an answer at a time, none missing; then one PlatformError, and no more.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import orjson
from aiosfstream_ng import Client, ReplayMarker, ReplayMarkerStorage, ReplayMarkerStoragePolicy
from aiosfstream_ng.auth import AuthenticatorBase

from isthmus.codecs.exact import INT64
from isthmus.codecs.salesforce_cometd import decode
from isthmus.config.errors import AuthError, DecodeError, PlatformError, TransientError
from isthmus.systems.http import Token
from isthmus.systems.salesforce.errors import AUTH, first_error, meta_error
from isthmus.systems.salesforce.heard import Heard
from isthmus.systems.salesforce.names import as_mapped
from isthmus.systems.salesforce.position import FROM_NOW_ON, Position

HANDSHAKE, CONNECT, SUBSCRIBE, DISCONNECT = "/meta/handshake", "/meta/connect", "/meta/subscribe", "/meta/disconnect"
OPEN_SECONDS = 20.0
CLOSE_SECONDS = 3.0
HOLD_SECONDS = 110.0
# A subscription that is quiet for so long is proven anew: the server is known to go deaf, and a replay id to fall out of
# retention unnoticed (§1.5); permissions that were granted since count from then on (§1.6).
PROVEN_SECONDS = 6 * 3600.0
AHEAD = 2
LONGEST_INTEGER = 20

Message = dict[str, Any]


class Ear(ReplayMarkerStorage):  # type: ignore[misc]
    """Hears every payload of one session, as the library's extension: takes the events out, notes what went wrong.

    `places`, channels with their replay ids, are sent with the subscriptions and never advanced from here.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        super().__init__()
        self.heard: asyncio.Queue[list[Message] | PlatformError] = asyncio.Queue()
        self.room = asyncio.Semaphore(AHEAD)
        self.hold = HOLD_SECONDS
        self.over: PlatformError | None = None
        self._places = places
        self._unanswered = False
        self._unsubscribed = len(places)

    async def get_replay_marker(self, subscription: str) -> ReplayMarker:
        """Where the caller said to go on."""
        return ReplayMarker(date="", replay_id=int(self._places[subscription]))

    async def set_replay_marker(self, subscription: str, replay_marker: ReplayMarker) -> None:
        """The position is the caller's."""

    async def outgoing(self, payload: list[Message], headers: dict[str, str]) -> None:
        """Let nothing out of a session that is over; a connect while another is unanswered tells of a lost answer."""
        if self.over is not None and payload[0]["channel"] != DISCONNECT:
            raise self.over
        for message in payload:
            if message["channel"] == HANDSHAKE:
                message["ext"] = {"replay": True}
            if message["channel"] == CONNECT:
                if self._unanswered:
                    raise self.end(TransientError("Salesforce left a connect without an answer", code="SESSION"))
                self._unanswered = True
        await super().outgoing(payload, headers)

    async def incoming(self, payload: list[Message], headers: Mapping[str, str] | None = None) -> None:
        """Pass an answer's events on as one batch, a quiet answer to a subscriber as an empty one; wait for room."""
        if not all(isinstance(message, dict) and "channel" in message for message in payload):
            raise self.end(_not_bayeux(payload))
        for message in payload:
            self._heed(message)
        events = [message for message in payload if not message["channel"].startswith("/meta/")]
        payload[:] = [message for message in payload if message["channel"].startswith("/meta/")]
        answered = any(message["channel"] == CONNECT for message in payload)
        if events or (answered and not self._unsubscribed):
            await self.room.acquire()
            self.heard.put_nowait(events)

    def _heed(self, message: Message) -> None:
        if message["channel"] == DISCONNECT and "id" not in message:
            raise self.end(TransientError("Salesforce ended the session", code="SESSION"))
        if message["channel"].startswith("/meta/") and not message.get("successful", True):
            raise self.end(meta_error(message))
        if message["channel"] == CONNECT:
            self._unanswered = False
        if message["channel"] == SUBSCRIBE:
            self._unsubscribed -= 1
        if isinstance(advice := message.get("advice"), dict):
            self._follow(advice)

    def _follow(self, advice: Message) -> None:
        if isinstance(advice.get("timeout"), int | float):
            self.hold = advice["timeout"] / 1000
        # Bayeux counts the interval in milliseconds, the library sleeps for as many seconds.
        if isinstance(advice.get("interval"), int | float):
            advice["interval"] = advice["interval"] / 1000

    def end(self, fault: PlatformError) -> PlatformError:
        """The session is over; the first reason stays."""
        if self.over is None:
            self.over = fault
            self.heard.put_nowait(fault)
        return self.over


class TokenAuthenticator(AuthenticatorBase):  # type: ignore[misc]
    """Hands the library the token that we already have; it never logs in by itself."""

    def __init__(self, token: Token) -> None:
        super().__init__()
        self._token = token

    async def _authenticate(self) -> tuple[int, Message]:
        return 200, {
            "access_token": self._token.value,
            "token_type": "Bearer",
            "instance_url": self._token.base,
        }


class VersionedClient(Client):  # type: ignore[misc]
    """The library's client at our API version, and closed for good even where opening failed half-way."""

    # The library's last nap after closing, there for TLS; aiohttp has since learned to wait for it.
    _HTTP_SESSION_CLOSE_TIMEOUT = 0

    def __init__(self, version: str, authenticator: AuthenticatorBase, ear: Ear) -> None:
        super().__init__(
            authenticator,
            replay=ear,
            replay_storage_policy=ReplayMarkerStoragePolicy.MANUAL,
            # Off: its watch calls asyncio in a way that Python 3.10 removed. The ear watches instead.
            connection_timeout=0,
            json_loads=_exact,
        )
        self._version = version

    def get_cometd_url(self, instance_url: str) -> str:
        """The endpoint of our version."""
        return f"{instance_url}/cometd/{self._version}"

    async def close(self) -> None:
        """End the connect loop, say goodbye where possible, close the HTTP session; never raises, never hangs."""
        # The library takes a client that failed to open for closed, and leaves its connect loop running.
        self._closed = False
        # The connect that brought the bad news starts another one from its callback, which may not have run yet.
        for _ in range(2):
            await asyncio.sleep(0)
        self._let_go()
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await super().close()
        if self._http_session is not None:
            await self._http_session.close()

    def _let_go(self) -> None:
        """Spare the library's callback the cancelled connect, which it does not expect and logs as an error."""
        transport = self._transport
        task = getattr(transport, "_connect_task", None)
        if task is not None:
            task.remove_done_callback(transport._connect_done)


class CometdSession:
    """A subscription to each channel of a position, from `open` to the first fault; for so many seconds without an event
    it counts as `proven`."""

    def __init__(self, token: Token, version: str, at: Position, proven: float = PROVEN_SECONDS) -> None:
        self.token = token
        self._at, self._proven = at, proven
        self._news_at = time.monotonic()
        self._ear = Ear(at.places)
        self._client = VersionedClient(version, TokenAuthenticator(token), self._ear)

    async def open(self) -> None:
        """Shake hands, connect, subscribe. ReplayLost, AuthError, PermanentError or TransientError where refused."""
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._client.open()
                for channel in self._at.places:
                    await self._client.subscribe(channel)
        except PlatformError:
            raise
        # The library lets through what JSON, aiohttp and asyncio raise, besides its own.
        except Exception as fault:
            raise self._ear.over or _unknown(fault) from fault

    async def next(self) -> Sequence[Heard]:
        """The events of the next answer, perhaps none; PlatformError once the session is over.

        An answer that takes more than twice the time that the server holds a connect will never come.
        """
        try:
            async with asyncio.timeout(self._ear.hold * 2):
                heard = await self._ear.heard.get()
        except TimeoutError:
            raise TransientError("Salesforce has fallen silent", code="SESSION") from None
        if isinstance(heard, PlatformError):
            raise heard
        self._ear.room.release()
        self._watch(heard)
        return [_heard(event) for event in heard]

    def _watch(self, heard: list[Message]) -> None:
        """End a session that was quiet for too long, unless there is nothing to go on from."""
        now = time.monotonic()
        if heard:
            self._news_at = now
        elif now - self._news_at > self._proven and FROM_NOW_ON not in self._at.places.values():
            raise TransientError("nothing came for long, so the subscription is proven anew", code="QUIET")

    async def close(self) -> None:
        """Leave; safe at any time, also after a failed `open`."""
        self._ear.end(TransientError("closed", code="SESSION"))
        await self._client.close()


def _heard(event: Message) -> Heard:
    raw = orjson.dumps(event, default=_digits)
    try:
        changes = tuple(as_mapped(change) for change in decode(event))
    except DecodeError as fault:
        return Heard(event["channel"], _replay_id(event), raw, error=fault)
    return Heard(event["channel"], _replay_id(event), raw, changes)


def _replay_id(event: Message) -> str | None:
    match event:
        case {"data": {"event": {"replayId": int(number)}}} if number > 0:
            return str(number)
    return None


def _digits(number: Any) -> orjson.Fragment:
    """A Decimal as it was written."""
    return orjson.Fragment(str(number))


def _exact(text: str) -> Any:
    """JSON without loss of digits; what even our own wire cannot hold as a number is a Decimal."""
    return json.loads(text, parse_float=Decimal, parse_int=_integer)


def _integer(digits: str) -> int | Decimal:
    number = int(digits) if len(digits) < LONGEST_INTEGER else Decimal(digits)
    return number if number in INT64 else Decimal(digits)


def _not_bayeux(payload: Any) -> PlatformError:
    """A gateway may refuse the token in the REST API's form."""
    if first_error(payload)[0] in AUTH:
        return AuthError("Salesforce no longer takes our token", code=first_error(payload)[0])
    return TransientError("Salesforce sent something that is not Bayeux", code="SESSION")


def _unknown(fault: Exception) -> PlatformError:
    if isinstance(fault, TimeoutError):
        return TransientError("Salesforce does not answer the handshake", code="NETWORK")
    kind = AuthError if "uthentication" in type(fault).__name__ else TransientError
    return kind(f"CometD failed: {type(fault).__name__}", code="SESSION")
