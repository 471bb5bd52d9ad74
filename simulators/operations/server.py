"""The environment on localhost: the Entra authority, OData and metadata, and the delivery of events.

Promises: the port is a free one; when `serve_operations` ends, everything it started has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import orjson
from aiohttp import web

from isthmus.simulators.dynamics.authority import Refused
from isthmus.simulators.dynamics.faults import Fault as TokenFault
from isthmus.simulators.operations.batch import answer_batch
from isthmus.simulators.operations.courier import HttpCourier
from isthmus.simulators.operations.environment import OperationsEnvironment
from isthmus.simulators.operations.faults import Fault, rolled_back
from isthmus.simulators.operations.odata import Call, OData, Reply, call_to
from isthmus.simulators.outage import middleware

LONGEST_LINE = 16 * 1024
LARGEST_REQUEST = 64 * 1024 * 1024
JSON = "application/json; odata.metadata=minimal"


@contextlib.asynccontextmanager
async def serve_operations(environment: OperationsEnvironment, host: str = "localhost") -> AsyncIterator[str]:
    """The environment's URL, which is the authority's too; its events are delivered as long as the context lasts."""
    edge = _Edge(environment)
    app = web.Application(client_max_size=LARGEST_REQUEST, middlewares=[middleware(environment.outage)])
    app.router.add_post("/{tenant}/oauth2/v2.0/token", edge.token)
    app.router.add_route("*", "/{service:data|metadata|Metadata}/{rest:.*}", edge.odata)
    runner = web.AppRunner(app, max_line_size=2 * LONGEST_LINE, shutdown_timeout=1.0, access_log=None)
    async with aiohttp.ClientSession() as session:
        courier = HttpCourier(environment, session)
        try:
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1" if host == "localhost" else host, 0)
            await site.start()
            environment.courier = courier
            courier.wake()
            yield f"http://{host}:{runner.addresses[0][1]}"
        finally:
            environment.courier = None
            edge.close()
            await courier.close()
            await runner.cleanup()


class _Edge:
    """Between aiohttp and the handlers that know nothing of it."""

    def __init__(self, environment: OperationsEnvironment) -> None:
        self._environment = environment
        self._service = OData(environment)
        self._late: set[asyncio.TimerHandle] = set()

    def close(self) -> None:
        """What was to be carried out late is not."""
        for handle in self._late:
            handle.cancel()

    async def token(self, request: web.Request) -> web.Response:
        authority = self._environment.authority
        try:
            if request.match_info["tenant"] != authority.tenant:
                raise Refused(400, "invalid_request", 90002, f"Tenant '{request.match_info['tenant']}' not found.")
            token = authority.issue({name: str(value) for name, value in (await request.post()).items()})
        except Refused as refusal:
            body = refusal.body(self._environment.new_id(), self._environment.now())
            return web.Response(status=refusal.status, body=orjson.dumps(body), content_type="application/json")
        granted = {"token_type": "Bearer", "expires_in": authority.lifetime, "access_token": token}
        return web.Response(body=orjson.dumps(granted), content_type="application/json")

    async def odata(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            self._environment.authority.bearer(headers.get("authorization"))
        except TokenFault:
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        base = f"{request.scheme}://{request.host}"
        call = call_to(request.method, base, request.raw_path, headers, await request.read())
        write = call.method != "GET"
        if (failure := self._environment.failure_for(write=write)) is not None:
            return _respond(Reply(failure.status, failure.headers(), failure.body()))
        lost = self._environment.lost_answer() if write else None
        if lost is None:
            return _respond(self._answer(call))
        if request.transport is not None:
            request.transport.abort()
        if lost[0] is None:
            self._answer(call)
        else:
            self._late.add(asyncio.get_running_loop().call_later(lost[0], self._answer, call))
        return web.Response(status=500)

    def _answer(self, call: Call) -> Reply:
        if call.method == "GET" or not self._environment.is_rolled_back():
            return self._carried_out(call)
        try:
            with self._environment.all_or_none():
                self._carried_out(call)
                raise rolled_back()
        except Fault as fault:
            return Reply(fault.status, fault.headers(), fault.body())

    def _carried_out(self, call: Call) -> Reply:
        if (call.method, call.path) != ("POST", "data/$batch"):
            return self._service.answer(call)
        try:
            return answer_batch(self._service, self._environment, call)
        except Fault as fault:
            return Reply(fault.status, fault.headers(), fault.body())


def _respond(reply: Reply) -> web.Response:
    headers = {"OData-Version": "4.0", **reply.headers}
    if reply.body is None or isinstance(reply.body, bytes):
        return web.Response(status=reply.status, headers=headers, body=reply.body)
    headers.setdefault("Content-Type", JSON)
    return web.Response(status=reply.status, headers=headers, body=orjson.dumps(reply.body))
