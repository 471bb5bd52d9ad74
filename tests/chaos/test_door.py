"""The door in front of the workers: any that answers takes a webhook."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from chaos.door import door
from isthmus.node.stagehand import free_port


@pytest.fixture
async def taken() -> AsyncIterator[tuple[str, list[tuple[str, str, str]]]]:
    """A worker, and what it was told: path with query, header, body."""
    seen: list[tuple[str, str, str]] = []

    async def take(request: web.Request) -> web.Response:
        seen.append((request.path_qs, request.headers.get("x-ms-dynamics-request-name", ""), await request.text()))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}", seen
    await runner.cleanup()


async def test_a_webhook_comes_to_the_worker_that_answers(taken: tuple[str, list[tuple[str, str, str]]]) -> None:
    url, seen = taken
    gone = f"http://127.0.0.1:{free_port()}"
    headers = {"x-ms-dynamics-request-name": "Update"}
    async with door(lambda: [gone, url]) as address, aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.post(f"{address}/webhooks/dynamics?code=x", data="told", headers=headers) as answer:
                assert answer.status == 204
    assert seen == [("/webhooks/dynamics?code=x", "Update", "told")] * 2


async def test_where_nobody_answers_dynamics_is_to_try_again() -> None:
    async with (
        door(lambda: [f"http://127.0.0.1:{free_port()}"]) as address,
        aiohttp.ClientSession() as session,
        session.post(f"{address}/webhooks/dynamics", data="told") as answer,
    ):
        assert answer.status == 503
