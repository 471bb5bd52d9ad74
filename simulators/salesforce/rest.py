"""The org's REST API on HTTP: records, queries, limits; the batch APIs have modules of their own (salesforce.md §4).

Promises: what a call answers is what the documentation says, errors included; every call passes the door.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from isthmus.simulators.salesforce.authority import Authority
from isthmus.simulators.salesforce.bulk import Bulk
from isthmus.simulators.salesforce.composite import Composite
from isthmus.simulators.salesforce.door import Handler, bearer, guarded, hand
from isthmus.simulators.salesforce.faults import refused
from isthmus.simulators.salesforce.org import SalesforceOrg
from isthmus.simulators.salesforce.queries import Queries
from isthmus.simulators.salesforce.records import Reply, perform
from isthmus.simulators.salesforce.schema import describe
from isthmus.simulators.salesforce.tooling import Tooling

__all__ = ["DATA", "Rest", "bearer"]

DATA = "/services/data/v{version:[0-9]+}.0"


class Rest:
    """The handlers; `base_url` is known once the server listens."""

    def __init__(self, org: SalesforceOrg) -> None:
        self.org = org
        self.authority = Authority(org)
        self.queries = Queries(org)
        self.composite = Composite(org)
        self.bulk = Bulk(org)
        self.tooling = Tooling(org, self.queries)

    @property
    def base_url(self) -> str:
        """Where the server listens."""
        return self.authority.base_url

    @base_url.setter
    def base_url(self, url: str) -> None:
        self.authority.base_url = url

    def routes(self) -> list[web.RouteDef]:
        """All routes of the REST API."""
        listed = [
            *self._routes(),
            *self.queries.routes(),
            *self.composite.routes(),
            *self.bulk.routes(),
            *self.tooling.routes(),
            # The last, because it takes every path below.
            ("*", "/sobjects/{path:.+}", self.record),
        ]
        return [
            web.post("/services/oauth2/token", self.authority.token),
            web.get("/services/data", self.versions),
            web.get("/services/data/", self.versions),
            *(web.route(method, f"{DATA}{path}", guarded(self.org, handler)) for method, path, handler in listed),
        ]

    def _routes(self) -> list[tuple[str, str, Handler]]:
        once: list[tuple[str, str, Handler]] = [
            ("GET", "/sobjects", self.sobjects),
            ("GET", "/limits", self.limits),
        ]
        return once + [(method, f"{path}/", handler) for method, path, handler in once]

    async def record(self, request: web.Request) -> web.StreamResponse:
        """A call about one record."""
        url = request.rel_url.raw_path_qs
        body = await json_of(request) if request.method in ("POST", "PATCH") else None
        return answer(perform(hand(self.org, request), request.method, url, body))

    async def sobjects(self, request: web.Request) -> web.StreamResponse:
        """All objects."""
        listed = [{**describe(one), "fields": None} for one in self.org.objects.values()]
        return web.json_response({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": listed})

    async def limits(self, request: web.Request) -> web.StreamResponse:
        """The daily limits."""
        most = self.org.daily_requests
        left = max(0, most - self.org.requests)
        return web.json_response({"DailyApiRequests": {"Max": most, "Remaining": left}})

    async def versions(self, request: web.Request) -> web.StreamResponse:
        """The API versions."""
        return web.json_response(
            [{"label": f"v{n}", "url": f"/services/data/v{n}.0", "version": f"{n}.0"} for n in self.org.versions]
        )


def answer(reply: Reply) -> web.StreamResponse:
    """A reply on HTTP."""
    if reply.body is None:
        return web.Response(status=reply.status, headers=reply.headers)
    return web.json_response(reply.body, status=reply.status, headers=reply.headers)


async def json_of(request: web.Request) -> Any:
    """A request's JSON; 400 JSON_PARSER_ERROR where it is none."""
    try:
        return await request.json()
    except json.JSONDecodeError:
        raise refused(400, "JSON_PARSER_ERROR", "Unexpected character") from None
