"""The org's Pub/Sub API: gRPC, with the events that its CometD server tells too (salesforce.md §2).

Promises: errors and their codes as the real server's; a client generated from the published proto accepts it. Publishing
and managed subscriptions are not built: UNIMPLEMENTED.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc

from isthmus.codecs.pubsub import SERVICE
from isthmus.codecs.pubsub import pubsub_api_pb2 as api
from isthmus.simulators.salesforce import bus
from isthmus.simulators.salesforce.avro import Schema, encoded, schema_of
from isthmus.simulators.salesforce.org import SalesforceOrg
from isthmus.simulators.salesforce.pubsub_refusals import (
    CUT,
    NO_SCHEMA,
    NO_TOPIC,
    RESTRICTED,
    UNAUTHENTICATED,
    WRONG_HEADERS,
    Refusal,
)
from isthmus.simulators.salesforce.subscription import Subscription, replay_bytes

PREFIX = "sfdc.platform.eventbus.grpc."


class PubSub:
    """The service, and what a test may do to it. `keepalive`: how long a quiet subscription goes without an answer;
    `idle`: how long one may stand with nothing requested; both in seconds. `requests`: the FetchRequests that came;
    `asked_schemas`: the schema ids; `silent`: it says nothing more, and stays connected."""

    def __init__(self, org: SalesforceOrg, *, keepalive: float = 270.0, idle: float = 60.0) -> None:
        self.org = org
        self.keepalive, self.idle = keepalive, idle
        self.url = ""
        self.silent = False
        self.requests: list[api.FetchRequest] = []
        self.asked_schemas: list[str] = []
        self.news = asyncio.Event()
        self._schemas: dict[str, Schema] = {}
        self._refusals: dict[str, list[Refusal]] = {}
        self._lost = 0
        self._subscriptions: set[Subscription] = set()
        org.on_event = bus.also(org.on_event, self.wake)

    def wake(self) -> None:
        """Let every subscription look again."""
        self.news.set()
        self.news = asyncio.Event()

    @property
    def subscribed(self) -> int:
        """How many subscriptions there have been."""
        return sum(bool(request.topic_name) for request in self.requests)

    # -- trouble

    def cut(self) -> None:
        """Every subscription breaks now."""
        for one in self._subscriptions:
            one.broken = True
        self.wake()

    def lose_next(self, number: int = 1) -> None:
        """The next answers with events are lost on their way, each with its connection."""
        self._lost += number

    def refuse_next(self, method: str, *refusals: Refusal) -> None:
        """The next calls of a method, or answers of Subscribe, end like this, whatever was asked for."""
        self._refusals.setdefault(method, []).extend(refusals)

    # -- calls

    def handlers(self) -> grpc.GenericRpcHandler:
        """What answers the service's calls."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "GetTopic": grpc.unary_unary_rpc_method_handler(
                    self.get_topic, api.TopicRequest.FromString, api.TopicInfo.SerializeToString
                ),
                "GetSchema": grpc.unary_unary_rpc_method_handler(
                    self.get_schema, api.SchemaRequest.FromString, api.SchemaInfo.SerializeToString
                ),
                "Subscribe": grpc.stream_stream_rpc_method_handler(
                    self.subscribe, api.FetchRequest.FromString, api.FetchResponse.SerializeToString
                ),
            },
        )

    async def get_topic(self, request: api.TopicRequest, context: Any) -> api.TopicInfo:
        """What a channel is, and whether we may subscribe to it."""
        async with _ending(context):
            self._admit("GetTopic", context)
            name = request.topic_name
            if not bus.exists(self.org, name):
                raise NO_TOPIC
            entity = bus.entity_of(self.org, name)
            return api.TopicInfo(
                topic_name=name,
                tenant_guid=self.org.org_id,
                can_subscribe=bus.may_subscribe(self.org, name),
                schema_id=self._schema(entity).id if entity else "",
                rpc_id=str(uuid.uuid4()),
            )

    async def get_schema(self, request: api.SchemaRequest, context: Any) -> api.SchemaInfo:
        """A schema that some event named."""
        async with _ending(context):
            self._admit("GetSchema", context)
            self.asked_schemas.append(request.schema_id)
            if request.schema_id not in self._schemas:
                raise NO_SCHEMA
            text = self._schemas[request.schema_id].text
            return api.SchemaInfo(schema_json=text, schema_id=request.schema_id, rpc_id=str(uuid.uuid4()))

    async def subscribe(
        self, requests: AsyncIterator[api.FetchRequest], context: Any
    ) -> AsyncIterator[api.FetchResponse]:
        """Answers until the client leaves or something ends it."""
        async with _ending(context):
            self._admit("Subscribe", context)
            first = await anext(requests)
            self.requests.append(first)
            one = Subscription(self, first)
            if not bus.may_subscribe(self.org, one.channel):
                raise RESTRICTED
            self._subscriptions.add(one)
            taking = asyncio.create_task(one.take(requests))
            try:
                while True:
                    answer = await one.answer()
                    self._admit("Subscribe", context)
                    if answer.events and self._lost:
                        self._lost -= 1
                        raise CUT
                    yield answer
            finally:
                taking.cancel()
                self._subscriptions.discard(one)

    def _admit(self, method: str, context: Any) -> None:
        if refusals := self._refusals.get(method):
            raise refusals.pop(0)
        told = dict(context.invocation_metadata())
        if told.get("tenantid") != self.org.org_id or not str(told.get("instanceurl", "")).startswith("http"):
            raise WRONG_HEADERS
        if told.get("accesstoken") not in self.org.tokens:
            raise UNAUTHENTICATED

    # -- events

    def consumer_event(self, message: Mapping[str, Any], replay_id: int) -> api.ConsumerEvent:
        """An event that CometD would tell, in Avro, by the schema of now."""
        head = message["payload"]["ChangeEventHeader"]
        schema = self._schema(head["entityName"])
        told = f"{replay_id} {head['transactionKey']} {head['recordIds'][0]}"
        payload = encoded(message["payload"], schema)
        event = api.ProducerEvent(id=str(uuid.uuid5(uuid.NAMESPACE_OID, told)), schema_id=schema.id, payload=payload)
        return api.ConsumerEvent(event=event, replay_id=replay_bytes(replay_id))

    def _schema(self, entity: str) -> Schema:
        schema = schema_of(self.org.objects[entity])
        return self._schemas.setdefault(schema.id, schema)


@contextlib.asynccontextmanager
async def _ending(context: Any) -> AsyncIterator[None]:
    """A refusal as gRPC tells it: the status, and the error code in the trailers."""
    try:
        yield
    except Refusal as fault:
        rpc_id = str(uuid.uuid4())
        trailers = (("error-code", PREFIX + fault.code), ("rpc-id", rpc_id))
        await context.abort(fault.status, f"{fault.text} rpcId: {rpc_id}", trailers)


@contextlib.asynccontextmanager
async def serve_pubsub(
    org: SalesforceOrg, host: str = "127.0.0.1", port: int = 0, *, keepalive: float = 270.0, idle: float = 60.0
) -> AsyncIterator[PubSub]:
    """The Pub/Sub API without TLS; `url` is `grpc://HOST:PORT`."""
    service = PubSub(org, keepalive=keepalive, idle=idle)
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers((service.handlers(),))
    service.url = f"grpc://{host}:{server.add_insecure_port(f'{host}:{port}')}"
    await server.start()
    try:
        yield service
    finally:
        await server.stop(grace=None)
