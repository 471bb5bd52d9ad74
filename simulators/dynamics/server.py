"""The environment on localhost: http and https, the Entra authority and the Web API, and the delivery of webhooks.

Promises: ports are free ones; when `serve_dynamics` ends, everything it started has ended and its files are gone.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson
from aiohttp import web

from isthmus.simulators.dynamics.authority import Refused
from isthmus.simulators.dynamics.batch import answer_batch
from isthmus.simulators.dynamics.calls import Call, Reply, fault_reply, split_target
from isthmus.simulators.dynamics.certificates import server_context
from isthmus.simulators.dynamics.courier import HttpCourier
from isthmus.simulators.dynamics.environment import DynamicsEnvironment
from isthmus.simulators.dynamics.faults import Fault
from isthmus.simulators.dynamics.webapi import WebApi
from isthmus.simulators.outage import middleware

LONGEST_LINE = 32 * 1024
LARGEST_REQUEST = 128 * 1024 * 1024
JSON = "application/json; odata.metadata=minimal"


@dataclass(frozen=True, slots=True)
class Served:
    """Where the environment is: both URLs are the environment's and the authority's at once. `ca_file` is PEM."""

    http_url: str
    https_url: str
    ca_file: Path


@contextlib.asynccontextmanager
async def serve_dynamics(environment: DynamicsEnvironment, host: str = "localhost") -> AsyncIterator[Served]:
    """Serve the environment, and deliver its webhooks, as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="isthmus-dynamics-") as folder:
        tls, ca_file = server_context(Path(folder), host)
        runner = web.AppRunner(
            _application(environment), max_line_size=2 * LONGEST_LINE, shutdown_timeout=1.0, access_log=None
        )
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            courier = HttpCourier(environment, session)
            try:
                await runner.setup()
                plain, secure = _listen(host), _listen(host)
                await web.SockSite(runner, plain).start()
                await web.SockSite(runner, secure, ssl_context=tls).start()
                environment.courier = courier
                courier.wake()
                yield Served(_url("http", host, plain), _url("https", host, secure), ca_file)
            finally:
                environment.courier = None
                await courier.close()
                await runner.cleanup()


def _application(environment: DynamicsEnvironment) -> web.Application:
    edge = _Edge(environment)
    app = web.Application(client_max_size=LARGEST_REQUEST, middlewares=[middleware(environment.outage)])
    app.router.add_get("/{tenant}/v2.0/.well-known/openid-configuration", edge.configuration)
    app.router.add_post("/{tenant}/oauth2/v2.0/token", edge.token)
    app.router.add_routes(environment.graph.routes())
    app.router.add_route("*", "/api/data/{rest:.*}", edge.web_api)
    return app


def _listen(host: str) -> socket.socket:
    # One address of one family, as the two of "localhost" would get two different ports.
    return socket.create_server(("127.0.0.1" if host == "localhost" else host, 0))


def _url(scheme: str, host: str, listening: socket.socket) -> str:
    return f"{scheme}://{host}:{listening.getsockname()[1]}"


class _Edge:
    """Between aiohttp and the handlers that know nothing of it."""

    def __init__(self, environment: DynamicsEnvironment) -> None:
        self._environment = environment
        self._api = WebApi(environment)

    async def configuration(self, request: web.Request) -> web.Response:
        tenant = request.match_info["tenant"]
        root = f"{request.scheme}://{request.host}/{tenant}"
        found = {
            "issuer": f"{root}/v2.0",
            "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
            "token_endpoint": f"{root}/oauth2/v2.0/token",
            "jwks_uri": f"{root}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        return _json(200, found)

    async def token(self, request: web.Request) -> web.Response:
        authority = self._environment.authority
        try:
            if request.match_info["tenant"] != authority.tenant:
                tenant = request.match_info["tenant"]
                raise Refused(400, "invalid_request", 90002, f"Tenant '{tenant}' not found.")
            token = authority.issue(await _credentials(request))
        except Refused as refusal:
            body = refusal.body(self._environment.operation_id(), self._environment.now())
            return _json(refusal.status, body)
        seconds = authority.lifetime
        granted = {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}
        return _json(200, granted)

    async def web_api(self, request: web.Request) -> web.StreamResponse:
        call_or_reply = await self._call(request)
        if isinstance(call_or_reply, Reply):
            return self._respond(request, call_or_reply)
        call = call_or_reply
        reply = await self._within_limits(call)
        if call.method != "GET" and reply.status < 400 and self._environment.answer_is_lost() and request.transport:
            request.transport.abort()
        answer = self._respond(request, reply)
        answer.headers.update(self._environment.limits.left())
        return answer

    async def _within_limits(self, call: Call) -> Reply:
        limits = self._environment.limits
        refusal = limits.enter()
        if refusal is not None:
            return fault_reply(refusal)
        try:
            return await self._carry_out(call)
        finally:
            limits.leave()

    async def _carry_out(self, call: Call) -> Reply:
        if (call.method, call.path) != ("POST", "$batch"):
            return await self._api.answer(call)
        try:
            return await answer_batch(self._api, call, self._environment.operation_id)
        except Fault as fault:
            return fault_reply(fault)

    async def _call(self, request: web.Request) -> Call | Reply:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if len(request.raw_path) > LONGEST_LINE:
            return fault_reply(Fault(414, "0x80060888", "The request URI is too long."))
        try:
            application = self._environment.authority.bearer(headers.get("authorization"))
            path, query = split_target(request.raw_path)
        except Fault as fault:
            return fault_reply(fault)
        base = f"{request.scheme}://{request.host}{'/'.join(request.raw_path.split('/', 4)[:4])}"
        return Call(request.method, base, path, query, headers, await request.read(), application)

    def _respond(self, request: web.Request, reply: Reply) -> web.Response:
        headers = {"OData-Version": "4.0", "x-ms-service-request-id": self._environment.operation_id(), **reply.headers}
        if reply.status == 401:
            authority = f"{request.scheme}://{request.host}/{self._environment.tenant}/oauth2/authorize"
            resource = f"{request.scheme}://{request.host}/"
            headers["WWW-Authenticate"] = f"Bearer authorization_uri={authority}, resource_id={resource}"
        if reply.body is None or isinstance(reply.body, bytes):
            return web.Response(status=reply.status, headers=headers, body=reply.body)
        headers.setdefault("Content-Type", JSON)
        return web.Response(status=reply.status, headers=headers, body=orjson.dumps(reply.body))


async def _credentials(request: web.Request) -> dict[str, str]:
    """The form, with the id and secret of HTTP Basic where they came so (dynamics.md §3.1)."""
    form = {name: str(value) for name, value in (await request.post()).items()}
    header = request.headers.get("Authorization", "")
    if header.startswith("Basic "):
        try:
            client_id, _, secret = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
        except ValueError:
            raise Refused(401, "invalid_client", 7000216, "The Authorization header is malformed.") from None
        form |= {"client_id": client_id, "client_secret": secret}
    return form


def _json(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
