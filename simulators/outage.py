"""Trouble at the edge of a simulated platform: it answers an error, breaks connections, or is slow, while people want it.

Promises: befalls every request that begins meanwhile, before anything is done for it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


@dataclass
class Outage:
    """`status`: what every request is answered with; `unreachable`: its connection is broken instead; `delay`: seconds
    that it waits first."""

    status: int | None = None
    unreachable: bool = False
    delay: float = 0.0

    def over(self) -> None:
        """All is well again."""
        self.status, self.unreachable, self.delay = None, False, 0.0


def middleware(outage: Outage) -> Middleware:
    """The edge of a server that suffers it."""

    @web.middleware
    async def edge(request: web.Request, handler: Handler) -> web.StreamResponse:
        if outage.delay:
            await asyncio.sleep(outage.delay)
        if outage.unreachable and request.transport is not None:
            request.transport.abort()
            return web.Response(status=503)
        if outage.status is not None:
            return web.Response(status=outage.status, text="The service is unavailable.")
        return await handler(request)

    return edge
