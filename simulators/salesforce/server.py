"""The org on a port: REST, OAuth and CometD behind one address.

Promises: listens only while inside `serve_salesforce`; connections that wait for news are closed with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from isthmus.simulators.outage import middleware
from isthmus.simulators.salesforce.cometd import Cometd
from isthmus.simulators.salesforce.org import SalesforceOrg
from isthmus.simulators.salesforce.rest import Rest


@contextlib.asynccontextmanager
async def serve_salesforce(
    org: SalesforceOrg, host: str = "localhost", port: int = 0, *, hold: float = 110.0
) -> AsyncIterator[str]:
    """The base URL, `http://localhost:PORT`; `hold` is how long a quiet connect waits, in seconds."""
    rest, cometd = Rest(org), Cometd(org, hold)
    app = web.Application(middlewares=[middleware(org.outage)])
    app.add_routes([*rest.routes(), web.post("/cometd/{version}", cometd.handle)])
    app.router.add_post("/cometd/{version}/{rest:.*}", cometd.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    try:
        server = site._server
        assert server is not None
        bound = server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        rest.base_url = f"http://{host}:{bound}"
        yield rest.base_url
    finally:
        await runner.cleanup()
