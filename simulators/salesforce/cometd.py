"""The org's Streaming API: CometD 3 with long polling and replay (salesforce.md §1).

Promises: errors, cookies and advice as the real server's; an event goes to every subscriber of its channel in replay
order, and no event is lost by a poll that ends without an answer being read: replay finds it again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from isthmus.simulators.salesforce import bus
from isthmus.simulators.salesforce.org import SalesforceOrg
from isthmus.simulators.salesforce.rest import bearer

Message = dict[str, Any]
LARGEST_BODY = 32_768


@dataclass
class Session:
    """One client: its cookie, and how far it was told on each channel (a place in the org's list of events)."""

    client_id: str
    cookie: str
    connected: bool = False
    told: dict[str, int] = field(default_factory=dict)


class Cometd:
    """`hold` is how long a quiet connect waits, in seconds."""

    def __init__(self, org: SalesforceOrg, hold: float) -> None:
        self.org = org
        self.hold = hold
        self._sessions: dict[str, Session] = {}
        self._news = asyncio.Event()
        org.on_event = bus.also(org.on_event, self._wake)
        org.forget_clients = self._sessions.clear

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One POST: a message or an array of them."""
        raw = await request.read()
        if len(raw) > LARGEST_BODY:
            return web.Response(status=413)
        body = await request.json()
        answers: list[Message] = []
        response_cookies: dict[str, str] = {}
        for message in body if isinstance(body, list) else [body]:
            answers += await self._answer(message, request, response_cookies)
        response = web.json_response(answers)
        for name, value in response_cookies.items():
            response.set_cookie(name, value, path="/cometd/")
        return response

    async def _answer(self, message: Message, request: web.Request, cookies: dict[str, str]) -> list[Message]:
        channel = message.get("channel")
        if channel == "/meta/handshake":
            return [self._handshake(message, request, cookies)]
        session = self._sessions.get(str(message.get("clientId")))
        refusal = self._refusal(message, request, session)
        if refusal is not None or session is None:
            return [refusal or self._unknown(message)]
        match channel:
            case "/meta/connect":
                return await self._connect(message, session)
            case "/meta/subscribe":
                return [self._subscribe(message, session)]
            case "/meta/unsubscribe":
                session.told.pop(str(message.get("subscription")), None)
                return [_ok(message, clientId=message.get("clientId"), subscription=message.get("subscription"))]
            case "/meta/disconnect":
                self._sessions.pop(session.client_id, None)
                return [_ok(message)]
        return [_failed(message, "400::Unknown channel")]

    # -- meta messages

    def _handshake(self, message: Message, request: web.Request, cookies: dict[str, str]) -> Message:
        if bearer(request) not in self.org.tokens:
            reason = {"sfdc": {"failureReason": "401::Authentication invalid"}, "replay": True}
            return _failed(message, "403::Handshake denied", ext=reason, advice={"reconnect": "none"})
        session = Session(secrets.token_hex(14), secrets.token_hex(8))
        self._sessions[session.client_id] = session
        cookies |= {"BAYEUX_BROWSER": session.cookie, "sfdc-stream": f"!{session.cookie}"}
        return _ok(
            message,
            clientId=session.client_id,
            version="1.0",
            minimumVersion="1.0",
            supportedConnectionTypes=["long-polling"],
            ext={"replay": True, "payload.format": True},
        )

    def _refusal(self, message: Message, request: web.Request, session: Session | None) -> Message | None:
        if bearer(request) not in self.org.tokens:
            return _failed(message, "401::Authentication invalid", advice={"reconnect": "none"})
        if session is None:
            return self._unknown(message)
        if request.cookies.get("BAYEUX_BROWSER") != session.cookie:
            text = f"400::Client {session.client_id} has established a session, but no BAYEUX_BROWSER cookie present"
            return _failed(message, text)
        return None

    def _unknown(self, message: Message) -> Message:
        return _failed(message, "403::Unknown client", advice={"interval": 0, "reconnect": "handshake"})

    def _subscribe(self, message: Message, session: Session) -> Message:
        channel = str(message.get("subscription"))
        if not bus.exists(self.org, channel):
            text = f"400::The channel you requested to subscribe to doesn't exist {{{channel}}}"
            return _failed(message, text, subscription=channel)
        if not bus.may_subscribe(self.org, channel):
            return _failed(message, "403::Restricted channel", subscription=channel)
        replay = (message.get("ext") or {}).get("replay", {channel: -1})
        wanted = replay.get(channel) if isinstance(replay, Mapping) else None
        try:
            session.told[channel] = bus.place_after(self.org, int(str(wanted)))
        except KeyError:
            text = (
                f"400::The replayId {{{wanted}}} you provided was invalid.  "
                "Please provide a valid ID, -2 to replay all events, or -1 to replay only new events."
            )
            return _failed(message, text, subscription=channel)
        except ValueError:
            text = (
                f"400::The replayId for channel {{{channel}}} wasn't found using the provided replay ID map "
                f"{{{{{channel}={'null' if wanted is None else wanted}}}}}. Ensure that the channel name…"
            )
            return _failed(message, text, subscription=channel)
        self._wake()
        return _ok(message, clientId=session.client_id, subscription=channel)

    async def _connect(self, message: Message, session: Session) -> list[Message]:
        if not session.connected:
            session.connected = True
            advice = {"interval": 0, "timeout": int(self.hold * 1000), "reconnect": "retry"}
            return [*self._news_for(session), _ok(message, clientId=session.client_id, advice=advice)]
        deadline = asyncio.get_running_loop().time() + self.hold
        while True:
            news = self._news
            if session.client_id not in self._sessions:
                return [self._unknown(message)]
            events = self._news_for(session)
            left = deadline - asyncio.get_running_loop().time()
            if events or left <= 0:
                return [*events, _ok(message, clientId=session.client_id)]
            try:
                async with asyncio.timeout(min(left, 0.5)):
                    await news.wait()
            except TimeoutError:
                continue

    def _news_for(self, session: Session) -> list[Message]:
        found: list[Message] = []
        for channel, told in session.told.items():
            news = self.org.events[told : told + 500]
            session.told[channel] = min(told + 500, len(self.org.events))
            found += [{"channel": channel, "data": one} for event in news for one in bus.told(self.org, channel, event)]
        return found


def _ok(message: Message, **more: Any) -> Message:
    return _reply(message, successful=True, **more)


def _failed(message: Message, error: str, **more: Any) -> Message:
    return _reply(message, successful=False, error=error, **more)


def _reply(message: Message, **more: Any) -> Message:
    """The `id` comes back as it came, with its type."""
    same = {"id": message["id"]} if "id" in message else {}
    return {"channel": message.get("channel"), **same, **more}
