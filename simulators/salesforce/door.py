"""The org's door: every REST call passes it, with a live token, its faults, and the header that tells of the quota.

Promises: a refusal is answered as REST words it (salesforce.md §4.2, §4.3); a cut connection carries no answer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from isthmus.simulators.salesforce.faults import Refused, Trouble, refused
from isthmus.simulators.salesforce.hand import Hand
from isthmus.simulators.salesforce.org import SalesforceOrg

CALL_OPTIONS = re.compile(r"client=([^;,\s]+)")
TRIGGER = "execution of AfterUpdate caused by: System.DmlException: the transaction was rolled back"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guarded(org: SalesforceOrg, handler: Handler) -> Handler:
    """The handler behind the door."""

    async def through(request: web.Request) -> web.StreamResponse:
        org.requests += 1
        trouble = org.faults.next(request.method, request.path) or Trouble(0, "")
        await asyncio.sleep(trouble.seconds)
        if trouble.cut == "before":
            return _cut(request)
        try:
            answer = await _answer(org, trouble, request, handler)
        except Refused as fault:
            answer = web.json_response(fault.body, status=fault.status, headers=fault.headers)
        if trouble.cut == "after":
            return _cut(request)
        answer.headers["Sforce-Limit-Info"] = f"api-usage={org.requests}/{org.daily_requests}"
        return answer

    return through


async def _answer(org: SalesforceOrg, trouble: Trouble, request: web.Request, handler: Handler) -> web.StreamResponse:
    if trouble.expire:
        org.expire_tokens()
    if bearer(request) not in org.tokens:
        raise refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
    if trouble.answer is not None:
        raise trouble.answer
    if not trouble.undone:
        return await handler(request)
    await request.read()  # so that the handler has all it needs, and nobody else comes in between
    with org.all_or_none():
        await handler(request)
        raise refused(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", TRIGGER)


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def bearer(request: web.Request) -> str:
    """The token of a request: `Bearer` or `OAuth` (salesforce.md §1.1)."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if kind in ("Bearer", "OAuth") else ""


def hand(org: SalesforceOrg, request: web.Request, *, named: bool = True) -> Hand:
    """Whoever makes this request. `named`: the API passes the caller's name on to change events."""
    name = CALL_OPTIONS.search(request.headers.get("Sforce-Call-Options", "")) if named else None
    version = f"{request.match_info['version']}.0"
    origin = f"com/salesforce/api/rest/{version}" + (f";client={name[1]}" if name else "")
    saves = "allowsave=true" in request.headers.get("Sforce-Duplicate-Rule-Header", "").lower().replace(" ", "")
    return Hand(org, org.user_id, origin, version, saves)
