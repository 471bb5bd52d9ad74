"""The door in front of the workers: what a load balancer does for webhooks, for the platform knows one address.

Promises: hands a request to any worker that answers; 503 where none does, which Dynamics tries again after.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import aiohttp
from aiohttp import web

from isthmus.node.stagehand import free_port

PATIENCE = aiohttp.ClientTimeout(total=30, connect=2)
HOP_BY_HOP = {"host", "content-length", "connection", "accept-encoding"}


@contextlib.asynccontextmanager
async def door(urls: Callable[[], Sequence[str]]) -> AsyncIterator[str]:
    """Its URL; `urls()` are the workers' that are meant to run now."""
    async with aiohttp.ClientSession(timeout=PATIENCE) as session:
        app = web.Application()
        app.router.add_post("/{path:.*}", _Door(session, urls).through)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            await runner.cleanup()


class _Door:
    def __init__(self, session: aiohttp.ClientSession, urls: Callable[[], Sequence[str]]) -> None:
        self._session = session
        self._urls = urls
        self._turn = 0

    async def through(self, request: web.Request) -> web.Response:
        """One request."""
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        self._turn += 1
        urls = self._urls()
        for number in range(len(urls)):
            url = urls[(self._turn + number) % len(urls)]
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with self._session.post(url + request.path_qs, data=body, headers=headers) as answer:
                    return web.Response(status=answer.status, body=await answer.read())
        return web.Response(status=503)
