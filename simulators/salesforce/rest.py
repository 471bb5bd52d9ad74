"""The org's REST API: OAuth, records, upsert by external id, queries, describe (salesforce.md §3, §4).

Promises: what a call answers is what the documentation says, errors included; every call needs a live token.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from isthmus.simulators.salesforce.faults import Refused, refused
from isthmus.simulators.salesforce.org import SalesforceOrg
from isthmus.simulators.salesforce.schema import describe

QUERY = re.compile(
    r"^\s*SELECT\s+(?P<fields>.+?)\s+FROM\s+(?P<object>\w+)(?:\s+WHERE\s+(?P<where>.+?))?(?:\s+LIMIT\s+(?P<limit>\d+))?\s*$",
    re.I | re.S,
)
IN = re.compile(r"^(\w+)\s+IN\s*\((.*)\)$", re.I | re.S)
EQUAL = re.compile(r"^(\w+)\s*=\s*'(.*)'$", re.S)
TEXT = re.compile(r"'((?:[^'\\]|\\.)*)'")
CALL_OPTIONS = re.compile(r"client=([^;,\s]+)")


class Rest:
    """The handlers; `base_url` is known once the server listens."""

    def __init__(self, org: SalesforceOrg) -> None:
        self.org = org
        self.base_url = ""
        self._issued = 0

    def routes(self) -> list[web.RouteDef]:
        """All routes of the REST API."""
        data = "/services/data/v{version:[0-9]+}.0"
        row = f"{data}/sobjects/{{object}}/{{id}}"
        external = f"{data}/sobjects/{{object}}/{{field}}/{{value:.+}}"
        return [
            web.post("/services/oauth2/token", self.token),
            web.get("/services/data", self.versions),
            web.get("/services/data/", self.versions),
            web.get(f"{data}/sobjects", self._guarded(self.sobjects)),
            web.get(f"{data}/sobjects/", self._guarded(self.sobjects)),
            web.get(f"{data}/limits", self._guarded(self.limits)),
            web.get(f"{data}/limits/", self._guarded(self.limits)),
            web.get(f"{data}/query", self._guarded(self.query)),
            web.get(f"{data}/query/", self._guarded(self.query)),
            web.get(f"{data}/sobjects/{{object}}/describe", self._guarded(self.describe)),
            web.get(f"{data}/sobjects/{{object}}/describe/", self._guarded(self.describe)),
            web.post(f"{data}/sobjects/{{object}}", self._guarded(self.create)),
            web.post(f"{data}/sobjects/{{object}}/", self._guarded(self.create)),
            web.get(row, self._guarded(self.get)),
            web.patch(row, self._guarded(self.patch)),
            web.delete(row, self._guarded(self.delete)),
            web.get(external, self._guarded(self.get_external)),
            web.patch(external, self._guarded(self.upsert)),
        ]

    # -- OAuth (salesforce.md §3)

    async def token(self, request: web.Request) -> web.StreamResponse:
        """Client credentials in the body or by HTTP Basic; password and refresh_token for clients that know no other."""
        form = dict(await request.post())
        kind = form.get("grant_type")
        if kind not in ("client_credentials", "password", "refresh_token"):
            return _oauth("unsupported_grant_type", "grant type not supported")
        client_id, secret = _basic(request) or (str(form.get("client_id", "")), str(form.get("client_secret", "")))
        if client_id != self.org.client_id:
            return _oauth("invalid_client_id", "client identifier invalid")
        if secret != self.org.client_secret:
            return _oauth("invalid_client", "invalid client credentials")
        named = (form.get("username"), str(form.get("password", "")))
        if kind == "password" and (named[0] != self.org.username or not named[1].startswith(self.org.password)):
            return _oauth("invalid_grant", "authentication failure")
        return web.json_response(self._issue())

    def _issue(self) -> dict[str, str]:
        self._issued += 1
        token = f"{self.org.org_id[:15]}!AQ{self._issued:04d}.simulated"
        self.org.tokens.add(token)
        return {
            "access_token": token,
            "signature": "c2ltdWxhdGVk",
            "scope": "api",
            "instance_url": self.base_url,
            "id": f"{self.base_url}/id/{self.org.org_id}/{self.org.user_id}",
            "token_type": "Bearer",
            "issued_at": "1700000000000",
        }

    # -- records

    async def create(self, request: web.Request) -> web.StreamResponse:
        """201 with the id."""
        self.org.before_write()
        record_id = self.org.create(request.match_info["object"], await _fields(request), **self._by(request))
        return web.json_response({"id": record_id, "success": True, "errors": []}, status=201)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """A row, or the fields asked for."""
        name = request.match_info["object"]
        return web.json_response(self._shown(request, name, self.org.row(name, request.match_info["id"])))

    async def get_external(self, request: web.Request) -> web.StreamResponse:
        """A row by its external id."""
        name = request.match_info["object"]
        found = self._found(request)
        if not found:
            raise refused(404, "NOT_FOUND", "The requested resource does not exist")
        return web.json_response(self._shown(request, name, self.org.row(name, found[0])))

    async def patch(self, request: web.Request) -> web.StreamResponse:
        """204."""
        self.org.before_write()
        name, fields = request.match_info["object"], await _fields(request)
        self.org.update(name, request.match_info["id"], fields, **self._by(request))
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """204."""
        self.org.before_write()
        self.org.delete(request.match_info["object"], request.match_info["id"], **self._by(request))
        return web.Response(status=204)

    async def upsert(self, request: web.Request) -> web.StreamResponse:
        """201 created; 200 with a body from v46, 204 before; 300 where several match (salesforce.md §4.1)."""
        self.org.before_write()
        name, field, fields = request.match_info["object"], request.match_info["field"], await _fields(request)
        found = self._found(request)
        if field in fields:
            raise refused(
                400, "INVALID_FIELD", f"The {field} field should not be specified in the sobject data.", (field,)
            )
        if len(found) > 1:
            base = f"/services/data/v{request.match_info['version']}.0/sobjects/{name}"
            return web.json_response([f"{base}/{one}" for one in found], status=300)
        if not found:
            key = {field: unquote(request.match_info["value"])}
            record_id = self.org.create(name, {**fields, **key}, **self._by(request))
            return web.json_response({"id": record_id, "success": True, "errors": [], "created": True}, status=201)
        self.org.update(name, found[0], fields, **self._by(request))
        if int(request.match_info["version"]) < 46:
            return web.Response(status=204)
        return web.json_response({"id": found[0], "success": True, "errors": [], "created": False})

    def _found(self, request: web.Request) -> list[str]:
        value = unquote(request.match_info["value"])
        return self.org.matching(request.match_info["object"], request.match_info["field"], value)

    def _by(self, request: web.Request) -> dict[str, str]:
        """Who writes, as change events will say."""
        named = CALL_OPTIONS.search(request.headers.get("Sforce-Call-Options", ""))
        origin = f"com/salesforce/api/rest/{request.match_info['version']}.0"
        return {"user": self.org.user_id, "origin": origin + (f";client={named.group(1)}" if named else "")}

    def _shown(self, request: web.Request, name: str, row: Mapping[str, Any]) -> dict[str, Any]:
        asked = request.query.get("fields")
        names = asked.split(",") if asked else list(row)
        self._check_fields(name, names)
        return {"attributes": _attributes(request, name, row["Id"]), **{one: row[one] for one in names}}

    def _check_fields(self, name: str, names: list[str]) -> None:
        for one in names:
            if one not in self.org.object(name).fields:
                message = f"No such column '{one}' on entity '{name}'."
                raise refused(400, "INVALID_FIELD", message)

    # -- queries and metadata

    async def query(self, request: web.Request) -> web.StreamResponse:
        """`SELECT a, b FROM X [WHERE f IN (…) | f = '…'] [LIMIT n]`."""
        parsed = QUERY.match(request.query.get("q", ""))
        if parsed is None:
            raise refused(400, "MALFORMED_QUERY", "unexpected token")
        name = parsed["object"]
        if name not in self.org.objects:
            raise refused(400, "INVALID_TYPE", f"sObject type '{name}' is not supported.")
        names = [one.strip() for one in parsed["fields"].split(",")]
        self._check_fields(name, names)
        rows = [row for row in self.org.rows(name).values() if _matches(parsed["where"], row)]
        rows = rows[: int(parsed["limit"])] if parsed["limit"] else rows
        records = [
            {"attributes": _attributes(request, name, row["Id"]), **{one: row[one] for one in names}} for row in rows
        ]
        return web.json_response({"totalSize": len(records), "done": True, "records": records})

    async def describe(self, request: web.Request) -> web.StreamResponse:
        """The object's fields."""
        return web.json_response(describe(self.org.object(request.match_info["object"])))

    async def sobjects(self, request: web.Request) -> web.StreamResponse:
        """All objects."""
        listed = [{**describe(one), "fields": None} for one in self.org.objects.values()]
        return web.json_response({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": listed})

    async def limits(self, request: web.Request) -> web.StreamResponse:
        """The daily limits."""
        return web.json_response({"DailyApiRequests": {"Max": 100_000, "Remaining": 100_000 - self.org.requests}})

    async def versions(self, request: web.Request) -> web.StreamResponse:
        """The API versions."""
        return web.json_response(
            [{"label": f"v{n}", "url": f"/services/data/v{n}.0", "version": f"{n}.0"} for n in range(45, 67)]
        )

    def _guarded(self, handler: Any) -> Any:
        async def guarded(request: web.Request) -> web.StreamResponse:
            self.org.requests += 1
            try:
                if bearer(request) not in self.org.tokens:
                    raise refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
                answer: web.StreamResponse = await handler(request)
            except Refused as fault:
                answer = web.json_response(fault.body, status=fault.status, headers=fault.headers)
            answer.headers["Sforce-Limit-Info"] = f"api-usage={self.org.requests}/100000"
            return answer

        return guarded


def bearer(request: web.Request) -> str:
    """The token of a request: `Bearer` or `OAuth` (salesforce.md §1.1)."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if kind in ("Bearer", "OAuth") else ""


def _basic(request: web.Request) -> tuple[str, str] | None:
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind != "Basic":
        return None
    name, _, secret = base64.b64decode(value).decode().partition(":")
    return name, secret


def _oauth(error: str, description: str) -> web.Response:
    return web.json_response({"error": error, "error_description": description}, status=400)


async def _fields(request: web.Request) -> dict[str, Any]:
    try:
        fields = await request.json()
    except ValueError:
        raise refused(400, "JSON_PARSER_ERROR", "Unexpected character") from None
    if not isinstance(fields, dict):
        raise refused(
            400, "JSON_PARSER_ERROR", "The HTTP entity body is required, but this request has no entity body."
        )
    if "Id" in fields or "id" in fields:
        raise refused(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data.", ("Id",))
    fields.pop("attributes", None)
    return fields


def _attributes(request: web.Request, name: str, record_id: str) -> dict[str, str]:
    version = request.match_info["version"]
    return {"type": name, "url": f"/services/data/v{version}.0/sobjects/{name}/{record_id}"}


def _matches(where: str | None, row: Mapping[str, Any]) -> bool:
    if where is None:
        return True
    if found := IN.match(where.strip()):
        return _same(row, found[1], TEXT.findall(found[2]))
    if found := EQUAL.match(where.strip()):
        return _same(row, found[1], [found[2].replace("\\'", "'")])
    raise refused(400, "MALFORMED_QUERY", f"unexpected token: {where}")


def _same(row: Mapping[str, Any], name: str, values: list[str]) -> bool:
    held = row.get(name)
    return held in values or (name == "Id" and str(held)[:15] in {value[:15] for value in values})
