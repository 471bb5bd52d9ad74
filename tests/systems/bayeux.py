"""A Bayeux server that does what a test tells it, so that a session can be seen to survive it or to end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Message = dict[str, Any]


def event(number: int, replay_id: int | None = None, **fields: Any) -> Message:
    """The event of this number, an Account's update; also its replay id, unless told."""
    header = {
        "entityName": "Account",
        "recordIds": ["0015f00002J9YaUAAV"],
        "changeType": "UPDATE",
        "changeOrigin": "",
        "transactionKey": f"transaction-{number}",
        "sequenceNumber": 1,
        "commitTimestamp": 1712694387000,
        "commitNumber": 1082990428000 + number,
        "commitUser": "0055f000005mc66AAA",
    }
    payload = {"ChangeEventHeader": header, "n": number, **fields}
    replayed = {"replayId": number if replay_id is None else replay_id}
    return {"channel": "/data/ChangeEvents", "data": {"payload": payload, "event": replayed}}


UNKNOWN_CLIENT = {
    "channel": "/meta/connect",
    "successful": False,
    "error": "403::Unknown client",
    "advice": {"reconnect": "handshake", "interval": 0},
}
LOST_COOKIES = {
    "channel": "/meta/connect",
    "successful": False,
    "error": "400::Client 1cyu has established a session, but no BAYEUX_BROWSER cookie present",
}
CUT, HANG, PAGE = "cut", "hang", "page"
Step = list[Message] | Message | str


class Bayeux:
    """`steps`: what each connect after the first is answered with, one after another: events, a whole answer, CUT (the
    connection breaks), PAGE (a gateway's, 502), HANG; after the last it hangs. `told`: every message that came;
    `bearers`: every Authorization. Subscriptions are answered with `subscriptions`, one after another, then well. Each
    login gives another token."""

    def __init__(self, *steps: Step, first: Message | None = None, subscriptions: Sequence[Message] = ()) -> None:
        self.url = ""
        self.steps = list(steps)
        self.first = first or {"advice": {"interval": 0, "timeout": 110000, "reconnect": "retry"}}
        self.subscriptions = list(subscriptions)
        self.logins = 0
        self.rewrite: Callable[[str], str] = str
        self.told: list[Message] = []
        self.bearers: set[str | None] = set()
        self.handshake: Message = {}
        self._connects = 0
        self._closing = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._came = asyncio.Condition()

    def count(self, channel: str) -> int:
        """How many messages of a channel came."""
        return sum(message["channel"] == channel for message in self.told)

    async def came(self, channel: str, times: int = 1) -> None:
        """Wait until so many came."""
        async with self._came:
            await self._came.wait_for(lambda: self.count(channel) >= times)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.bearers.add(request.headers.get("Authorization"))
        answers: list[Message] = []
        for message in await request.json():
            async with self._came:
                self.told.append(message)
                self._came.notify_all()
            answers += await self._answer(request, message)
        return web.json_response(text=self.rewrite(json.dumps(answers)))

    async def _answer(self, request: web.Request, message: Message) -> list[Message]:
        base = {"channel": message["channel"], "id": message["id"], "successful": True}
        match message["channel"]:
            case "/meta/handshake":
                self._connects, self._subscribed = 0, asyncio.Event()
                supported = {"supportedConnectionTypes": ["long-polling"], "clientId": f"c{len(self.told)}"}
                return [{**base, **supported, **self.handshake}]
            case "/meta/subscribe":
                refusal = self.subscriptions.pop(0) if self.subscriptions else {}
                if refusal.get("successful", True):
                    self._subscribed.set()
                return [{**base, "subscription": message["subscription"], **refusal}]
            case "/meta/connect":
                self._connects += 1
                return [{**base, **self.first}] if self._connects == 1 else await self._step(request, base)
        return [base]

    async def _step(self, request: web.Request, base: Message) -> list[Message]:
        await self._subscribed.wait()
        step = self.steps.pop(0) if self.steps else HANG
        if step == PAGE:
            raise web.HTTPBadGateway(text="<html>Bad Gateway</html>", content_type="text/html")
        if step == CUT:
            assert request.transport is not None
            request.transport.abort()
        if isinstance(step, str):
            await self._closing.wait()
            return []
        return [{**base, **step}] if isinstance(step, dict) else [*step, base]

    async def login(self, request: web.Request) -> web.Response:
        self.logins += 1
        return web.json_response({"access_token": f"tok{self.logins}", "instance_url": self.url})

    def end(self) -> None:
        """Let go of what hangs."""
        self._closing.set()


@asynccontextmanager
async def serving(server: Bayeux) -> AsyncIterator[Bayeux]:
    """The server on localhost, at API version 60.0."""
    app = web.Application()
    app.router.add_post("/services/oauth2/token", server.login)
    app.router.add_post("/cometd/60.0", server.handle)
    app.router.add_post("/cometd/60.0/{rest:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "localhost", 0).start()
    server.url = f"http://localhost:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.end()
        await runner.cleanup()
