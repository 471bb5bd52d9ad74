"""The simulated Pub/Sub API: it holds to the rules of the real one (strangers read it in tests/strangers)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from isthmus.codecs.pubsub import SERVICE
from isthmus.codecs.pubsub import pubsub_api_pb2 as api
from isthmus.simulators.salesforce import SalesforceOrg
from isthmus.simulators.salesforce.avro import bitmaps, schema_of
from isthmus.simulators.salesforce.pubsub import PubSub, serve_pubsub
from isthmus.simulators.salesforce.subscription import replay_bytes

ALL = "/data/ChangeEvents"


@pytest.fixture
def org() -> SalesforceOrg:
    return SalesforceOrg(seed=5)


@pytest.fixture
async def server(org: SalesforceOrg) -> AsyncIterator[PubSub]:
    async with serve_pubsub(org, keepalive=0.3, idle=0.6) as service:
        org.tokens.add("tok")
        yield service


class Caller:
    """Calls with the right headers, unless told."""

    def __init__(self, server: PubSub, **headers: str) -> None:
        self.channel = grpc.aio.insecure_channel(server.url.removeprefix("grpc://"))
        told = {"accesstoken": "tok", "instanceurl": "http://org", "tenantid": server.org.org_id, **headers}
        self.metadata = tuple(told.items())

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(self, *fault: object) -> None:
        await self.channel.close()

    async def topic(self, name: str) -> api.TopicInfo:
        call = self.channel.unary_unary(
            f"/{SERVICE}/GetTopic", api.TopicRequest.SerializeToString, api.TopicInfo.FromString
        )
        answer: api.TopicInfo = await call(api.TopicRequest(topic_name=name), metadata=self.metadata)
        return answer

    async def subscribe(self, **first: Any) -> Any:
        method = self.channel.stream_stream(
            f"/{SERVICE}/Subscribe", api.FetchRequest.SerializeToString, api.FetchResponse.FromString
        )
        call = method(metadata=self.metadata)
        # A refusal may be quicker than we are.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await call.write(api.FetchRequest(**{"topic_name": ALL, "num_requested": 10, **first}))
        return await self.subscribe(**first) if await forgotten(call) else call


async def forgotten(call: Any) -> bool:
    """Did the call end just while it was written to? grpc.aio then makes a status of its own, and the server's is lost."""
    return call.done() and await call.code() == grpc.StatusCode.INTERNAL and not await call.trailing_metadata()


async def drained(call: Any) -> None:
    """Read to the end."""
    async with asyncio.timeout(10):
        while await call.read() != grpc.aio.EOF:
            pass


async def fault_of(call: Any) -> tuple[str, str]:
    """How a call ends: its status and the error code."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await drained(call)
    trailers = dict(caught.value.trailing_metadata())
    return caught.value.code().name, str(trailers["error-code"]).removeprefix("sfdc.platform.eventbus.grpc.")


async def test_no_more_comes_than_was_asked_for(org: SalesforceOrg, server: PubSub) -> None:
    for number in range(7):
        org.create("Account", {"Name": f"N{number}"})
    async with Caller(server) as caller:
        call = await caller.subscribe(replay_preset=api.EARLIEST, num_requested=3)
        first = await call.read()
        assert (len(first.events), first.pending_num_requested) == (3, 0)
        assert first.latest_replay_id == first.events[-1].replay_id
        await call.write(api.FetchRequest(num_requested=2))
        await call.write(api.FetchRequest(num_requested=1))
        came = 0
        while came < 3:
            came += len((await call.read()).events)
        assert came == 3


async def test_a_quiet_subscription_is_told_the_latest_replay_id_past_what_it_does_not_carry(
    org: SalesforceOrg, server: PubSub
) -> None:
    async with Caller(server) as caller:
        call = await caller.subscribe(topic_name="/data/ContactChangeEvent")
        await call.read()
        org.create("Account", {"Name": "Alder"})
        answer = await call.read()
        assert (len(answer.events), answer.pending_num_requested) == (0, 10)
        assert answer.latest_replay_id == replay_bytes(org.events[-1].replay_id)


async def test_a_replay_id_goes_on_after_it_and_a_forgotten_or_foreign_one_is_corrupted(
    org: SalesforceOrg, server: PubSub
) -> None:
    for number in range(3):
        org.create("Account", {"Name": f"N{number}"})
    places = [replay_bytes(event.replay_id) for event in org.events]
    custom = {"replay_preset": api.CUSTOM}
    async with Caller(server) as caller:
        call = await caller.subscribe(**custom, replay_id=places[0])
        assert [event.replay_id for event in (await call.read()).events] == places[1:]
        for foreign in (places[0][:8], replay_bytes(1), b"x" * 10):
            told = await fault_of(await caller.subscribe(**custom, replay_id=foreign))
            assert told == ("INVALID_ARGUMENT", "subscription.fetch.replayid.corrupted")
        org.expire_replay()
        org.create("Account", {"Name": "Birch"})
        told = await fault_of(await caller.subscribe(**custom, replay_id=places[0]))
        assert told == ("INVALID_ARGUMENT", "subscription.fetch.replayid.corrupted")


@pytest.mark.parametrize(
    ("first", "then", "told"),
    [
        ({"topic_name": "/data/NonsenseChangeEvent"}, {}, ("NOT_FOUND", "topic.not.found")),
        ({"num_requested": 0}, {}, ("INVALID_ARGUMENT", "subscription.fetch.requested.events.invalid")),
        ({"replay_preset": 2}, {}, ("INVALID_ARGUMENT", "subscription.fetch.replayid.validation.failed")),
        ({}, {"num_requested": -1}, ("INVALID_ARGUMENT", "subscription.fetch.requested.events.invalid")),
        ({}, {"topic_name": "/data/X"}, ("INVALID_ARGUMENT", "subscription.fetch.topic.mismatch")),
    ],
)
async def test_a_wrong_request_is_refused(
    server: PubSub, first: dict[str, Any], then: dict[str, Any], told: tuple[str, str]
) -> None:
    async with Caller(server) as caller:
        call = await caller.subscribe(**first)
        if then:
            await call.write(api.FetchRequest(**{"num_requested": 1, **then}))
        assert await fault_of(call) == told


async def test_who_asks_for_nothing_in_time_is_let_go(org: SalesforceOrg, server: PubSub) -> None:
    org.create("Account", {"Name": "Alder"})
    async with Caller(server) as caller:
        call = await caller.subscribe(replay_preset=api.EARLIEST, num_requested=1)
        assert len((await call.read()).events) == 1
        assert (await fault_of(call))[0] == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"accesstoken": "stale"}, "service.auth.error"),
        ({"tenantid": "00D"}, "service.auth.headers.invalid"),
        ({"instanceurl": ""}, "service.auth.headers.invalid"),
    ],
)
async def test_who_does_not_say_who_it_is_is_refused(server: PubSub, headers: dict[str, str], code: str) -> None:
    async with Caller(server, **headers) as caller:
        assert await fault_of(await caller.subscribe()) == ("UNAUTHENTICATED", code)


async def test_a_token_that_expires_ends_the_subscription(org: SalesforceOrg, server: PubSub) -> None:
    async with Caller(server) as caller:
        call = await caller.subscribe()
        await call.read()
        org.expire_tokens()
        assert await fault_of(call) == ("UNAUTHENTICATED", "service.auth.error")


async def test_a_channel_of_one_entity_says_whether_we_may_and_another_tells_less(
    org: SalesforceOrg, server: PubSub
) -> None:
    org.unseen.add("Account")
    org.create("Account", {"Name": "Alder"})
    org.create("Contact", {"LastName": "Alder"})
    async with Caller(server) as caller:
        assert not (await caller.topic("/data/AccountChangeEvent")).can_subscribe
        assert (await caller.topic(ALL)).can_subscribe
        assert (await fault_of(await caller.subscribe(topic_name="/data/AccountChangeEvent")))[0] == "PERMISSION_DENIED"
        call = await caller.subscribe(replay_preset=api.EARLIEST)
        assert [event.replay_id for event in (await call.read()).events] == [replay_bytes(org.events[1].replay_id)]


def test_a_schema_is_known_by_its_content_and_its_bits_count_its_fields(org: SalesforceOrg) -> None:
    account = schema_of(org.objects["Account"])
    assert account.id == schema_of(org.objects["Account"]).id != schema_of(org.objects["Contact"]).id
    assert len(account.id) == 22
    names = [field["name"] for field in account.fields]
    assert names[0] == "ChangeEventHeader"
    phone, address = names.index("Phone"), names.index("BillingAddress")
    told = bitmaps(["Phone", "BillingAddress.Street", "BillingAddress.Country"], account)
    assert [int(told[0], 16), told[1]] == [1 << phone, f"{address}-0x11"]
