"""Dead letters over HTTP: list, show, replay, discard, edit.

Promises: who reads needs nothing, who changes anything needs the operator's token, compared in constant time; without a
token in the settings nobody may.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from aiohttp import web
from aiokafka.errors import KafkaError
from pydantic import BaseModel, Field

from isthmus.codecs.letters import Action
from isthmus.node.endpoint import Endpoint, Problem, json_response, problem
from isthmus.node.letters import Letters, NotHere
from isthmus.node.letters_views import DeedView, LetterList, LetterView, Wanted, since
from isthmus.node.members import FORWARDED
from isthmus.node.operators import BAD, GUARDED, Operators, answered

AT_ONCE = 500
LIMIT, MOST = 100, 1000
B = TypeVar("B", bound=BaseModel)


class LettersOrder(BaseModel):
    """What to do with which letters."""

    ids: list[str] = Field(min_length=1, max_length=AT_ONCE)
    by: str = Field(min_length=1, max_length=200, description="Who wants it; kept with the letter.")


class LetterEdit(BaseModel):
    """What a replay is to send in the original's place."""

    payload: str = Field(min_length=1)
    by: str = Field(min_length=1, max_length=200, description="Who wants it; kept with the letter.")


class OrderResult(BaseModel):
    """What came of an order for one letter."""

    id: str
    done: Literal["edited", "replayed", "discarded", "refused", "pending", "missing"] = Field(
        description="pending: it is ordered and not carried out yet; missing: there is no such letter."
    )
    note: str = ""


class OrderResults(BaseModel):
    """What came of an order, letter by letter."""

    results: list[OrderResult]


QUERY = {
    "system": "Of this system.",
    "entity": "Of this entity.",
    "code": "With this error code.",
    "since": "That died since: RFC 3339, or so long ago, such as 12h.",
    "state": "open, replayed or discarded.",
    "text": "With this in id, record, correlation, error or payload.",
    "limit": f"How many, at most; {LIMIT} where it is not said, {MOST} at most.",
    "before": "The `next` of the list before.",
}
NOT_FOUND, NOT_HERE = 404, 503
ORDERED: dict[int, type[BaseModel]] = {**GUARDED, 200: OrderResults, 202: OrderResults, NOT_HERE: Problem}
ENDPOINTS = (
    Endpoint("get", "/v1/dead", "Dead letters, the newest first", "dead", {200: LetterList, BAD: Problem}, QUERY),
    Endpoint(
        "get",
        "/v1/dead/{id}",
        "A dead letter, with every attempt and what was done with it",
        "dead_letter",
        {200: LetterView, NOT_FOUND: Problem, NOT_HERE: Problem},
    ),
    Endpoint(
        "post",
        "/v1/dead/replay",
        "Send letters on their way again",
        "replay_dead",
        ORDERED,
        body=LettersOrder,
        guarded=True,
    ),
    Endpoint(
        "post", "/v1/dead/discard", "Leave letters dead", "discard_dead", ORDERED, body=LettersOrder, guarded=True
    ),
    Endpoint(
        "post",
        "/v1/dead/{id}/edit",
        "Put another payload in the original's place",
        "edit_dead",
        ORDERED,
        body=LetterEdit,
        guarded=True,
    ),
)


class LettersHttp:
    """The handlers."""

    def __init__(self, letters: Letters, operators: Operators) -> None:
        self._letters = letters
        self._operators = operators

    async def dead(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/dead."""
        try:
            wanted, limit, before = _asked(request)
        except (ValueError, OverflowError) as fault:
            return problem(BAD, f"that cannot be asked: {fault}")
        everywhere = FORWARDED not in request.headers
        return json_response(await self._letters.find_all(wanted, limit, before, everywhere=everywhere))

    async def dead_letter(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/dead/{id}."""
        letter = request.match_info["id"]
        try:
            found = await self._letters.find(letter, everywhere=FORWARDED not in request.headers)
        except NotHere as fault:
            return problem(NOT_HERE, str(fault), fault.hint)
        return json_response(found) if found else problem(NOT_FOUND, f"no letter {letter}", "ask /v1/dead for them")

    async def replay_dead(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/dead/replay."""
        return await answered(self._several("replay", request))

    async def discard_dead(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/dead/discard."""
        return await answered(self._several("discard", request))

    async def edit_dead(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/dead/{id}/edit."""
        return await answered(self._edit(request))

    async def _several(self, action: Action, request: web.Request) -> web.StreamResponse:
        body = await self._operators.allowed(request, LettersOrder)
        return await self._order(action, body.ids, body.by, None)

    async def _edit(self, request: web.Request) -> web.StreamResponse:
        body = await self._operators.allowed(request, LetterEdit)
        return await self._order("edit", [request.match_info["id"]], body.by, body.payload)

    async def _order(self, action: Action, ids: list[str], by: str, payload: str | None) -> web.StreamResponse:
        try:
            deeds = await self._letters.order(action, ids, by, payload)
        except NotHere as fault:
            return problem(NOT_HERE, str(fault), fault.hint)
        except KafkaError as fault:
            return problem(
                NOT_HERE, f"Kafka did not take the order: {fault!r}", "look whether it was done, and try again"
            )
        results = [_result(one, deeds) for one in dict.fromkeys(ids)]
        pending = any(one.done == "pending" for one in results)
        return json_response(OrderResults(results=results), 202 if pending else 200)


def _asked(request: web.Request) -> tuple[Wanted, int, str]:
    told: dict[str, Any] = dict(request.query)
    limit, before = int(told.pop("limit", LIMIT)), told.pop("before", "")
    if not 1 <= limit <= MOST:
        raise ValueError(f"limit is 1 to {MOST}")
    if unknown := told.keys() - QUERY.keys():
        raise ValueError(f"there is no {', '.join(sorted(unknown))}")
    wanted = Wanted(**told)
    since(wanted.since or "0s", 0.0)
    return wanted, limit, before


def _result(letter: str, deeds: dict[str, DeedView | None]) -> OrderResult:
    if letter not in deeds:
        return OrderResult(id=letter, done="missing")
    deed = deeds[letter]
    return (
        OrderResult(id=letter, done="pending")
        if deed is None
        else OrderResult(id=letter, done=deed.done, note=deed.note)
    )
