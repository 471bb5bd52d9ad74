"""Identity over HTTP: a person says who is who.

Promises: needs the operator's token; an order is answered when Kafka has it, and carried out by identify in its turn.
"""

from __future__ import annotations

from typing import Literal

from aiohttp import web
from aiokafka.errors import KafkaError
from pydantic import BaseModel, Field

from isthmus.codecs.identities import Action
from isthmus.config.mapping import Mappings
from isthmus.node.endpoint import Endpoint, Problem, json_response, problem
from isthmus.node.operators import BAD, GUARDED, Operators, answered
from isthmus.node.who import Who

NOT_FOUND, NOT_HERE = 404, 503
RECORDS = {"link": 2, "apart": 2, "unmerge": 1}


class NativeRecord(BaseModel):
    """A record of a system."""

    system: str = Field(min_length=1)
    native_id: str = Field(min_length=1)


class IdentityOrder(BaseModel):
    """What a person says of who is who."""

    action: Action = Field(
        description="link: both records are one; apart: they are not, and are never linked again by themselves; "
        "unmerge: the record is no part of its golden record."
    )
    records: list[NativeRecord] = Field(min_length=1, max_length=2, description="Two; of unmerge one.")
    by: str = Field(min_length=1, max_length=200, description="Who says so; kept in the audit.")
    why: str = Field("", max_length=2000)


class IdentityOrdered(BaseModel):
    """It is ordered; identify does it in its turn. The order's id is the correlation of what follows."""

    order: str
    state: Literal["ordered"] = "ordered"


ENDPOINTS = (
    Endpoint(
        "post",
        "/v1/identity/{entity}",
        "Say that records are one, are not, or that one leaves its golden record",
        "identity",
        {**GUARDED, 202: IdentityOrdered, NOT_FOUND: Problem, NOT_HERE: Problem},
        body=IdentityOrder,
        guarded=True,
    ),
)


class IdentityHttp:
    """What the handlers of identity say."""

    def __init__(self, mappings: Mappings, who: Who, operators: Operators) -> None:
        self._mappings = mappings
        self._who = who
        self._operators = operators

    async def identity(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/identity/{entity}."""
        return await answered(self._identity(request, request.match_info["entity"]))

    async def _identity(self, request: web.Request, entity: str) -> web.StreamResponse:
        wanted = await self._operators.allowed(request, IdentityOrder)
        if entity not in self._mappings.entities:
            return problem(NOT_FOUND, f"no entity {entity}", f"there are {', '.join(self._mappings.entities)}")
        records = tuple((one.system, one.native_id) for one in wanted.records)
        if len(records) != RECORDS[wanted.action] or len(set(records)) != len(records):
            return problem(BAD, f"{wanted.action} takes {RECORDS[wanted.action]} different records, not {len(records)}")
        try:
            decision = await self._who.say(wanted.action, entity, records, wanted.by, wanted.why)
        except KafkaError as fault:
            return problem(NOT_HERE, f"Kafka did not take the order: {fault!r}", "look at the records")
        return json_response(IdentityOrdered(order=decision.id), 202)
