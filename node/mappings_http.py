"""The HTTP API of mapping versions: what is in force, what was, and the order to put a version in force.

Promises: a version that cannot work, or that speaks of other columns than this worker reads and writes, is refused with the
place and nothing is changed; the order is durable when it is answered.
"""

from __future__ import annotations

import time
import uuid
from typing import Literal

from aiohttp import web
from aiokafka.errors import KafkaError
from pydantic import BaseModel, Field, ValidationError

from isthmus.codecs.activation import Activation, document_of, mapping_of, version_of
from isthmus.config.mapping import EntityMapping, Mappings
from isthmus.node.endpoint import Endpoint, Problem, json_response, problem
from isthmus.node.operators import BAD, GUARDED, Operators, answered
from isthmus.node.orders import Orders
from isthmus.tables.activations import History
from isthmus.tables.letters import timestamp
from isthmus.tables.unit import partition_of

NOT_FOUND, NOT_HERE = 404, 503
TOPIC = "activations"


class VersionView(BaseModel):
    """A version that was put in force."""

    version: str
    at: str = Field(description="When, RFC 3339.")
    by: str
    why: str = ""
    document: str = Field(description="The mapping, as JSON.")


class MappingView(BaseModel):
    """The versions of an entity's mapping."""

    entity: str
    files: str = Field(description="The version that this worker's files hold; in force where none was activated.")
    document: str = Field(description="That one, as JSON.")
    in_force: str = Field(description="The version by which merge decides.")
    history: list[VersionView] = Field(description="What was activated, the newest last.")


class MappingOrder(BaseModel):
    """Put a version in force."""

    document: str = Field(min_length=2, description="The mapping, as JSON.")
    by: str = Field(min_length=1, max_length=200, description="Who wants it; kept.")
    why: str = Field("", max_length=2000)


class Ordered(BaseModel):
    """The order is durable; live records are chosen anew from now on."""

    order: str
    version: str
    state: Literal["ordered"] = "ordered"


ENDPOINTS = (
    Endpoint(
        "get",
        "/v1/mappings/{entity}",
        "Which version of a mapping is in force, and which were",
        "mapping",
        {200: MappingView, NOT_FOUND: Problem, NOT_HERE: Problem},
    ),
    Endpoint(
        "post",
        "/v1/mappings/{entity}",
        "Put a version of a mapping in force",
        "activate",
        {**GUARDED, 202: Ordered, NOT_FOUND: Problem, NOT_HERE: Problem},
        body=MappingOrder,
        guarded=True,
    ),
)


class MappingsHttp:
    """What the handlers of mappings say."""

    def __init__(self, mappings: Mappings, orders: Orders, operators: Operators, partitions: int) -> None:
        self._mappings = mappings
        self._orders = orders
        self._operators = operators
        self._partitions = partitions

    def mapping(self, entity: str, history: History | None) -> web.Response:
        """GET /v1/mappings/{entity}, with what is kept of it."""
        if entity not in self._mappings.entities:
            return problem(NOT_FOUND, f"no entity {entity}", f"there are {', '.join(self._mappings.entities)}")
        document = document_of(self._mappings.entities[entity])
        orders = history.orders if history else ()
        versions = [
            VersionView(version=one.version, at=one.at, by=one.by, why=one.why, document=one.document) for one in orders
        ]
        files = version_of(document)
        in_force = versions[-1].version if versions else files
        return json_response(
            MappingView(entity=entity, files=files, document=document, in_force=in_force, history=versions)
        )

    async def activate(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/mappings/{entity}."""
        return await answered(self._activate(request, request.match_info["entity"]))

    async def _activate(self, request: web.Request, entity: str) -> web.StreamResponse:
        wanted = await self._operators.allowed(request, MappingOrder)
        files = self._mappings.entities.get(entity)
        if files is None:
            return problem(NOT_FOUND, f"no entity {entity}", f"there are {', '.join(self._mappings.entities)}")
        try:
            mapping = mapping_of(wanted.document)
        except ValidationError as fault:
            told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in fault.errors())
            return problem(BAD, told)
        if strange := _strange(mapping, files):
            return problem(BAD, strange, "give it to the workers as a file and restart them first")
        return await self._order(mapping, wanted)

    async def _order(self, mapping: EntityMapping, wanted: MappingOrder) -> web.StreamResponse:
        at, document = timestamp(time.time()), document_of(mapping)
        order = Activation(uuid.uuid4().hex, mapping.entity, document, at, wanted.by, wanted.why)
        try:
            await self._orders.send(TOPIC, {partition_of(mapping.entity.encode(), self._partitions): [order]})
        except KafkaError as fault:
            return problem(NOT_HERE, f"Kafka did not take the order: {fault!r}", "look whether it is in force")
        return json_response(Ordered(order=order.id, version=order.version), 202)


def _strange(mapping: EntityMapping, files: EntityMapping) -> str:
    """Why this worker cannot decide by it: what it reads, writes and calls things comes from its files."""
    if mapping.entity != files.entity:
        return f"it is a mapping of {mapping.entity}"
    for system, held in files.systems.items():
        if mapping.systems.get(system) != held:
            return f"it says something else of {system} than the files of this worker do"
    lacking = mapping.fields.keys() - files.fields.keys()
    return f"its fields {', '.join(sorted(lacking))} are in no file of this worker" if lacking else ""
