"""The HTTP API: every endpoint is declared once here, and served, documented and tested from that declaration.

Promises: errors are JSON with `error` and `hint`; a question whose answer another worker holds is asked there, once;
Faust's own open web pages are off.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, TypeVar

import aiohttp
import jinja2
import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from isthmus.node import identity_http, letters_http, mappings_http, reviews_http
from isthmus.node.delivering import DeliveryView
from isthmus.node.endpoint import Endpoint, Problem, document, json_response, problem
from isthmus.node.hints import BODY_BYTES, Hints
from isthmus.node.members import FORWARDED
from isthmus.node.reading import (
    GoldenView,
    HealthView,
    LedgerView,
    Reading,
    RedirectView,
    XrefView,
    golden_view,
    xref_key,
)
from isthmus.tables.activations import ACTIVATIONS
from isthmus.tables.golden import GOLDEN
from isthmus.tables.unit import Table
from isthmus.tables.xref import XREF

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ELSEWHERE, NOT_FOUND, NOT_HERE = 308, 404, 503
ENDPOINTS = (
    Endpoint(
        "get",
        "/v1/golden/{entity}/{id}",
        "A golden record, with the provenance of each field",
        "golden",
        {200: GoldenView, ELSEWHERE: RedirectView, NOT_FOUND: Problem, NOT_HERE: Problem},
    ),
    Endpoint(
        "get",
        "/v1/xref/{system}/{native_id}",
        "The golden record of a native record",
        "xref",
        {200: XrefView, NOT_FOUND: Problem, NOT_HERE: Problem},
    ),
    Endpoint("get", "/v1/ledger", "The books: what became of every change", "ledger", {200: LedgerView}),
    Endpoint(
        "get", "/v1/delivery", "Which targets are written to, and which are left alone", "delivery", {200: DeliveryView}
    ),
    Endpoint("get", "/health/live", "Is the process alive?", "live", {200: HealthView}),
    Endpoint("get", "/health/ready", "Can it do its work?", "ready", {200: HealthView, NOT_HERE: HealthView}),
    *letters_http.ENDPOINTS,
    *mappings_http.ENDPOINTS,
    *reviews_http.ENDPOINTS,
    *identity_http.ENDPOINTS,
)


class Api:
    """The handlers; `registry` holds the metrics, the others have handlers of their own."""

    def __init__(
        self,
        reading: Reading,
        registry: CollectorRegistry,
        hints: Hints | None,
        letters: letters_http.LettersHttp,
        mappings: mappings_http.MappingsHttp,
        identity: identity_http.IdentityHttp,
        reviews: reviews_http.ReviewsHttp,
    ) -> None:
        self._reviews = reviews
        self._identity = identity
        self._letters = letters
        self._mappings = mappings
        self._reading = reading
        self._registry = registry
        self._hints = hints
        self._pages = pages()

    def application(self) -> web.Application:
        """All routes."""
        app = web.Application(client_max_size=BODY_BYTES)
        for endpoint in ENDPOINTS:
            holders = (self, self._letters, self._mappings, self._identity, self._reviews)
            handlers = next(one for one in holders if hasattr(one, endpoint.handler))
            app.router.add_route(endpoint.method, endpoint.path, getattr(handlers, endpoint.handler))
        app.router.add_get("/", self.page)
        app.router.add_get("/reviews", self._reviews.page)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/openapi.json", self.openapi)
        app.router.add_get("/v1/tally", self.tally)
        if self._hints is not None:
            app.router.add_post("/webhooks/dynamics", self._hints.receive)
        return app

    async def golden(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/golden/{entity}/{id}."""
        canonical, entity = request.match_info["id"], request.match_info["entity"]
        found = await self._held(request, "merge", GOLDEN, canonical.encode())
        if isinstance(found, web.Response):
            return _located(found)
        if found is not None and found.redirect is not None and found.entity == entity:
            return _located(
                json_response(RedirectView(entity=entity, id=canonical, redirect=found.redirect), ELSEWHERE)
            )
        if found is None or (view := golden_view(found)).entity != entity:
            return problem(NOT_FOUND, f"no {entity} {canonical}", "ask /v1/xref/{system}/{native_id} for its id")
        return json_response(view)

    async def xref(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/xref/{system}/{native_id}."""
        system, native = request.match_info["system"], request.match_info["native_id"]
        found = await self._held(request, "intake", XREF, xref_key(system, native))
        if isinstance(found, web.Response):
            return found
        if found is None:
            return problem(NOT_FOUND, f"{system} {native} is not known", "has one of its changes arrived yet?")
        return json_response(XrefView(system=system, native_id=native, entity=found.entity, canonical=found.canonical))

    async def mapping(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/mappings/{entity}."""
        entity = request.match_info["entity"]
        found = await self._held(request, "activate", ACTIVATIONS, entity.encode())
        return found if isinstance(found, web.Response) else self._mappings.mapping(entity, found)

    async def _held(self, request: web.Request, stage: str, table: Table[T], key: bytes) -> T | web.Response | None:
        """A table's value, or the response of the worker that holds it."""
        if self._reading.holds(stage, key):
            return self._reading.local(stage, table, key)
        owner = self._reading.owner(stage, key)
        if owner is None or owner == self._reading.members.own_url or FORWARDED in request.headers:
            return problem(NOT_HERE, "no worker holds this partition yet", "try again in a few seconds")
        try:
            status, body = await self._reading.members.ask(owner, request.path_qs)
        except (aiohttp.ClientError, TimeoutError):
            return problem(NOT_HERE, f"the worker that holds it does not answer: {owner}", "is it running?")
        return web.Response(body=body, status=status, content_type="application/json")

    async def ledger(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/ledger."""
        return json_response(await self._reading.ledger())

    async def delivery(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/delivery."""
        return json_response(await self._reading.delivering.all(forwarded=FORWARDED in request.headers))

    async def tally(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/tally: this worker's part of the ledger, for the other workers."""
        body = {**asdict(self._reading.tally()), "hints": self._reading.hints()}
        return web.Response(body=orjson.dumps(body), content_type="application/json")

    async def live(self, request: web.Request) -> web.StreamResponse:
        """GET /health/live."""
        return json_response(HealthView(ok=True))

    async def ready(self, request: web.Request) -> web.StreamResponse:
        """GET /health/ready."""
        health = self._reading.health()
        return json_response(health, 200 if health.ok else NOT_HERE)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """GET /metrics, in Prometheus' text form."""
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def openapi(self, request: web.Request) -> web.StreamResponse:
        """GET /openapi.json."""
        return web.Response(body=orjson.dumps(openapi()), content_type="application/json")

    async def page(self, request: web.Request) -> web.StreamResponse:
        """GET /: the state on one page."""
        ledger, health = await self._reading.ledger(), self._reading.health()
        delivery = await self._reading.delivering.all(forwarded=False)
        text = self._pages.get_template("status.html").render(
            ledger=ledger, health=health, delivery=delivery, endpoints=ENDPOINTS
        )
        return web.Response(text=text, content_type="text/html")


def _located(response: web.Response) -> web.Response:
    """A redirect with its Location, which is in its body too."""
    if response.status == ELSEWHERE and isinstance(response.body, bytes):
        told = RedirectView.model_validate_json(response.body)
        response.headers["Location"] = f"/v1/golden/{told.entity}/{told.redirect}"
    return response


def pages() -> jinja2.Environment:
    """The templates of the pages."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("isthmus.node"), autoescape=True, undefined=jinja2.StrictUndefined
    )


def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document of all declared endpoints."""
    return document(ENDPOINTS)
