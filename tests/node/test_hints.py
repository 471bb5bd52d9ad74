"""The webhook's door against real Kafka: who is let in, and when it says yes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from oracle import committed

from isthmus.config.settings import Settings
from isthmus.node.hints import AT_ONCE, BODY_BYTES, Hints
from isthmus.node.webhooks import authenticator, record_named

ACCOUNT = "5a9fbc05-6d0c-4bd9-8d5c-1d5f4e4a0c11"
BODY = orjson.dumps({"MessageName": "Update", "PrimaryEntityName": "account", "PrimaryEntityId": ACCOUNT})
BODY_TWO = orjson.dumps({**orjson.loads(BODY), "OperationId": "two"})
Client = TestClient[web.Request, web.Application]


def settings(*keys: str) -> Settings:
    """A node that takes webhooks with these keys."""
    webhook = {"kind": "key", "keys": keys}
    known = {"url": "https://o.crm.dynamics.com", "tenant": "t", "client_id": "c", "client_secret": "s"}
    return Settings.model_validate({"dynamics": {**known, "webhook": webhook}})


@asynccontextmanager
async def door(kafka: str, namespace: str, **config: str) -> AsyncIterator[tuple[Client, Hints]]:
    """An HTTP client at a door whose topic has this configuration."""
    topic = f"{namespace}hints"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 4, 1, topic_configs=config)])
    await admin.close()
    hints = Hints(kafka, topic, 4, authenticator(settings("old", "new")), record_named)
    await hints.open()
    app = web.Application(client_max_size=BODY_BYTES)
    app.router.add_post("/webhooks/dynamics", hints.receive)
    try:
        async with TestClient(TestServer(app)) as client:
            yield client, hints
    finally:
        await hints.close()


async def test_a_hint_is_in_kafka_when_the_door_says_yes_and_its_secret_is_not(kafka: str, namespace: str) -> None:
    headers = {"x-ms-dynamics-organization": "o", "x-ms-correlation-request-id": "r", "authorization": "secret"}
    async with door(kafka, namespace) as (client, _):
        for key, body in (("old", BODY), ("new", BODY_TWO)):
            async with client.post(f"/webhooks/dynamics?code={key}", data=body, headers=headers) as response:
                assert response.status == 204
            assert len(await committed(kafka, f"{namespace}hints")) == 1 + (key == "new")
    records = await committed(kafka, f"{namespace}hints")
    assert {record.key for record in records} == {f"dynamics:{ACCOUNT}".encode()}
    assert len({record.partition for record in records}) == 1
    assert [record.value for record in records] == [BODY, BODY_TWO]
    assert {name for record in records for name, _ in record.headers} == set(headers) - {"authorization"}


async def test_a_stranger_is_turned_away_and_leaves_no_trace(kafka: str, namespace: str) -> None:
    async with door(kafka, namespace) as (client, _):
        for path in ("/webhooks/dynamics", "/webhooks/dynamics?code=wrong", "/webhooks/dynamics?code="):
            async with client.post(path, data=BODY) as response:
                assert response.status == 401, path
    assert await committed(kafka, f"{namespace}hints") == []


async def test_a_validation_call_is_greeted_and_not_kept(kafka: str, namespace: str) -> None:
    headers = {"x-ms-dynamics-request-name": "URL_VALIDATION"}
    async with (
        door(kafka, namespace) as (client, _),
        client.post("/webhooks/dynamics?code=new", headers=headers) as response,
    ):
        assert response.status == 200
    assert await committed(kafka, f"{namespace}hints") == []


async def test_what_kafka_does_not_take_is_503_so_that_dynamics_tries_again(kafka: str, namespace: str) -> None:
    async with door(kafka, namespace, **{"max.message.bytes": "2000"}) as (client, _):
        async with client.post("/webhooks/dynamics?code=new", data=BODY + b" " * 4000) as response:
            assert response.status == 503
        async with client.post("/webhooks/dynamics?code=new", data=BODY) as response:
            assert response.status == 204
    assert len(await committed(kafka, f"{namespace}hints")) == 1


async def test_what_is_played_back_is_not_stored_again(kafka: str, namespace: str) -> None:
    async with door(kafka, namespace) as (client, _):
        for body in (BODY, BODY_TWO, BODY, BODY, BODY_TWO, b"nonsense", b"nonsense"):
            async with client.post("/webhooks/dynamics?code=new", data=body) as response:
                assert response.status == 204
    found = [record.value for record in await committed(kafka, f"{namespace}hints")]
    assert sorted(found) == sorted([BODY, BODY_TWO, b"nonsense", b"nonsense"])


async def test_a_body_that_dynamics_would_never_send_is_refused(kafka: str, namespace: str) -> None:
    async with door(kafka, namespace) as (client, _):
        large = BODY[:-1] + b',"x":"' + b"y" * BODY_BYTES + b'"}'
        for data in (large, _in_pieces(large)):
            async with client.post("/webhooks/dynamics?code=new", data=data) as response:
                assert response.status == 413
        largest = BODY[:-1] + b',"x":"' + b"y" * (256 * 1024 - len(BODY) - 8) + b'"}'
        async with client.post("/webhooks/dynamics?code=new", data=largest) as response:
            assert response.status == 204
    assert len(await committed(kafka, f"{namespace}hints")) == 1


async def _in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """Without saying before how long it is."""
    for start in range(0, len(body), 65536):
        yield body[start : start + 65536]


async def test_more_than_it_can_hold_at_once_is_503(kafka: str, namespace: str) -> None:
    async with door(kafka, namespace) as (client, hints):
        callers = [await _hold(client) for _ in range(AT_ONCE)]
        async with asyncio.timeout(20):
            while hints.held < AT_ONCE:
                await asyncio.sleep(0.01)
        async with client.post("/webhooks/dynamics?code=new", data=BODY) as response:
            assert response.status == 503
        for writer in callers:
            writer.close()
        async with asyncio.timeout(20):
            while hints.held:
                await asyncio.sleep(0.01)
        async with client.post("/webhooks/dynamics?code=new", data=BODY) as response:
            assert response.status == 204


async def _hold(client: Client) -> asyncio.StreamWriter:
    """A caller that begins to speak and does not finish."""
    _, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /webhooks/dynamics?code=new HTTP/1.1\r\nHost: door\r\nContent-Length: 9\r\n\r\n{")
    await writer.drain()
    return writer
