"""The calls of Salesforce's Pub/Sub API that we need, over gRPC, in the name of one login (salesforce.md §2).

Promises: a failure is a `PlatformError` by its error code; a schema is fetched once, because its id is a hash of it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from isthmus.codecs.pubsub import SERVICE
from isthmus.codecs.pubsub import pubsub_api_pb2 as api
from isthmus.codecs.salesforce_pubsub import EventSchema, read_schema
from isthmus.config.errors import DecodeError, PermanentError, PlatformError, TransientError
from isthmus.systems.http import Token
from isthmus.systems.salesforce.pubsub_errors import pubsub_error

CALL_SECONDS = 20.0
# A hundred events of a megabyte each are one answer at most (§1.6, §2.2); gRPC's own limit is 4 MB.
LARGEST_ANSWER = 128 * 1024 * 1024
PLAIN, TLS = "grpc://", "grpcs://"


class Calls:
    """The API at an address: `host:port` or `grpcs://host:port` with TLS, `grpc://host:port` without."""

    def __init__(self, url: str, token: Token) -> None:
        # Each session its own connection, so that a new session never waits for an old one's retries.
        options = [("grpc.max_receive_message_length", LARGEST_ANSWER), ("grpc.use_local_subchannel_pool", 1)]
        if url.startswith(PLAIN):
            local = [*options, ("grpc.enable_http_proxy", 0)]
            self._channel = grpc.aio.insecure_channel(url.removeprefix(PLAIN), options=local)
        else:
            trust = grpc.ssl_channel_credentials()
            self._channel = grpc.aio.secure_channel(url.removeprefix(TLS), trust, options=options)
        self._metadata = (("accesstoken", token.value), ("instanceurl", token.base), ("tenantid", token.tenant))

    async def topic(self, name: str) -> api.TopicInfo:
        """What a channel is; PermanentError where it is not there for us."""
        call = self._channel.unary_unary(
            f"/{SERVICE}/GetTopic", api.TopicRequest.SerializeToString, api.TopicInfo.FromString
        )
        answer: api.TopicInfo = await self._once(call, api.TopicRequest(topic_name=name))
        return answer

    async def schema(self, schema_id: str) -> str:
        """A schema's JSON."""
        call = self._channel.unary_unary(
            f"/{SERVICE}/GetSchema", api.SchemaRequest.SerializeToString, api.SchemaInfo.FromString
        )
        answer: api.SchemaInfo = await self._once(call, api.SchemaRequest(schema_id=schema_id))
        return answer.schema_json

    async def _once(self, call: Any, request: Any) -> Any:
        try:
            return await call(request, metadata=self._metadata, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as fault:
            raise _error(fault) from fault

    def subscribe(self) -> Subscription:
        """A subscription; nothing is asked yet."""
        call = self._channel.stream_stream(
            f"/{SERVICE}/Subscribe", api.FetchRequest.SerializeToString, api.FetchResponse.FromString
        )
        return Subscription(call(metadata=self._metadata))

    async def close(self) -> None:
        """End every call; safe to call twice."""
        await self._channel.close()


class Subscription:
    """One Subscribe call: requests go in, answers come out, until a PlatformError."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def ask(self, request: api.FetchRequest) -> None:
        """Ask for events."""
        try:
            await self._call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as fault:
            raise await self._ending() from fault

    async def answer(self, patience: float) -> api.FetchResponse:
        """The next answer; TransientError where none comes within so many seconds, or none ever will."""
        try:
            async with asyncio.timeout(patience):
                answer: api.FetchResponse = await self._call.read()
        except TimeoutError:
            raise TransientError("Salesforce has fallen silent", code="SESSION") from None
        except grpc.aio.AioRpcError as fault:
            raise _error(fault) from fault
        if answer == grpc.aio.EOF:
            raise await self._ending()
        return answer

    async def _ending(self) -> PlatformError:
        """Why the call is over."""
        code, details = await self._call.code(), await self._call.details()
        if code == grpc.StatusCode.OK:
            return TransientError("Salesforce ended the subscription", code="SESSION")
        return pubsub_error(code.name, _error_code(await self._call.trailing_metadata()), details or "")


def _error(fault: grpc.aio.AioRpcError) -> PlatformError:
    return pubsub_error(fault.code().name, _error_code(fault.trailing_metadata()), fault.details() or "")


def _error_code(trailers: Any) -> str:
    return next((str(value) for name, value in trailers or () if name == "error-code"), "")


class Schemas:
    """The schemas of events by their ids, for as long as we live."""

    def __init__(self) -> None:
        self._known: dict[str, EventSchema] = {}

    async def of(self, schema_id: str, calls: Calls) -> EventSchema:
        """A schema; DecodeError where there is none to decode with, TransientError where it cannot be had now."""
        if schema_id not in self._known:
            try:
                self._known[schema_id] = read_schema(await calls.schema(schema_id))
            except PermanentError as fault:
                raise DecodeError(f"no schema {schema_id}: {fault}") from fault
        return self._known[schema_id]
