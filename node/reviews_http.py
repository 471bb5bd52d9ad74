"""The HTTP API and the page of what waits for stewards.

Promises: whoever reads needs nothing, whoever decides shows the operator's token; the page shows what the JSON says.
"""

from __future__ import annotations

from typing import Any, Literal

import jinja2
from aiohttp import web
from aiokafka.errors import KafkaError
from pydantic import BaseModel, Field, ValidationError

from isthmus.codecs.decisions import Decision, Verb
from isthmus.node.endpoint import Endpoint, Problem, json_response, problem
from isthmus.node.identity_http import NativeRecord
from isthmus.node.letters import NotHere
from isthmus.node.members import FORWARDED
from isthmus.node.operators import BAD, GUARDED, Operators, answered
from isthmus.node.reviews import ReviewList, Reviews, ReviewView, Sought, Undecidable

NOT_FOUND, NOT_HERE = 404, 503


class DecisionOrder(BaseModel):
    """What a steward decides: about a question (`review`), or about a field of a golden record."""

    verb: Literal["pin", "swap", "release", "undo", "dismiss", "link", "apart"]
    by: str = Field(min_length=1, max_length=200, description="Who decides; kept.")
    why: str = Field("", max_length=2000)
    review: str = Field("", description="The question that it answers.")
    entity: str = ""
    canonical: str = Field("", description="The golden record, where there is no question.")
    field: str = ""
    value: Any = Field(None, description="For pin: what is to count; null clears.")
    records: list[NativeRecord] = Field(
        default_factory=list,
        max_length=2,
        description="For link and apart: which two of the question's records, where it has more.",
    )

    def pin(self, verb: Verb) -> Decision | None:
        """The field that it names, if it does."""
        named = self.review or (self.entity and self.canonical and self.field)
        return Decision("", verb, "", "", "", self.entity, self.canonical, self.field, self.value) if named else None

    async def give(self, reviews: Reviews, review: ReviewView | None) -> DecisionView:
        """Have it done. Undecidable where it makes no sense, KafkaError where Kafka does not take it."""
        if self.verb == "link" or self.verb == "apart":
            named = [(one.system, one.native_id) for one in self.records]
            said = await reviews.identify(self.verb, self.by, self.why, review, named)
            return DecisionView(order=said.id, verb=said.action, canonical="", field="")
        done = await reviews.decide(self.verb, self.by, self.why, review, self.pin(self.verb))
        return DecisionView(order=done.id, verb=done.verb, canonical=done.canonical, field=done.field, value=done.value)


class DecisionView(BaseModel):
    """The decision is durable; merge, or identify, does the rest."""

    order: str
    verb: str
    canonical: str
    field: str
    value: Any = None


QUERY = {
    "kind": "conflict, rejected or match.",
    "entity": "Of this entity.",
    "state": "open (the default) or closed.",
    "limit": "How many, at most.",
}
ENDPOINTS = (
    Endpoint("get", "/v1/reviews", "What waits for a steward", "reviews", {200: ReviewList, BAD: Problem}, QUERY),
    Endpoint(
        "get",
        "/v1/review",
        "A question, with both sides and what was decided",
        "review",
        {200: ReviewView, NOT_FOUND: Problem, NOT_HERE: Problem},
        {"id": "The question's id."},
    ),
    Endpoint(
        "post",
        "/v1/decisions",
        "Pin a value, swap it for the other, release a pin, undo it, dismiss a question, or say who is who",
        "decide",
        {**GUARDED, 202: DecisionView, NOT_FOUND: Problem, NOT_HERE: Problem},
        body=DecisionOrder,
        guarded=True,
    ),
)


class ReviewsHttp:
    """The handlers."""

    def __init__(self, reviews: Reviews, operators: Operators, pages: jinja2.Environment) -> None:
        self._reviews = reviews
        self._operators = operators
        self._pages = pages

    async def reviews(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/reviews."""
        found = await self._found(request)
        return found if isinstance(found, web.Response) else json_response(found)

    async def page(self, request: web.Request) -> web.StreamResponse:
        """GET /reviews."""
        found = await self._found(request)
        if isinstance(found, web.Response):
            return found
        text = self._pages.get_template("reviews.html").render(found=found, asked=request.query)
        return web.Response(text=text, content_type="text/html")

    async def _found(self, request: web.Request) -> ReviewList | web.Response:
        try:
            sought = Sought.model_validate(dict(request.query))
        except ValidationError as fault:
            return problem(BAD, "; ".join(f"{one['loc'][0]}: {one['msg']}" for one in fault.errors()))
        return await self._reviews.find_all(sought, everywhere=FORWARDED not in request.headers)

    async def review(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/review."""
        id = request.query.get("id", "")
        try:
            found = await self._reviews.find(id, everywhere=FORWARDED not in request.headers)
        except NotHere as fault:
            return problem(NOT_HERE, str(fault), fault.hint)
        return json_response(found) if found else _unknown(id)

    async def decide(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/decisions."""
        return await answered(self._decide(request))

    async def _decide(self, request: web.Request) -> web.StreamResponse:
        order = await self._operators.allowed(request, DecisionOrder)
        try:
            review = await self._reviews.find(order.review) if order.review else None
            if order.review and review is None:
                return _unknown(order.review)
            return json_response(await order.give(self._reviews, review), 202)
        except Undecidable as fault:
            return problem(BAD, str(fault), fault.hint)
        except NotHere as fault:
            return problem(NOT_HERE, str(fault), fault.hint)
        except KafkaError as fault:
            return problem(NOT_HERE, f"Kafka did not take it: {fault!r}", "look whether it was done, and try again")


def _unknown(id: str) -> web.Response:
    return problem(NOT_FOUND, f"no question {id}", "ask /v1/reviews for them")
