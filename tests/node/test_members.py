"""Asking the other workers: all at once, and whoever does not answer holds up nobody."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from isthmus.node.members import FORWARDED, Members
from isthmus.node.stagehand import free_port


def answering(status: int, name: str) -> TestServer:
    """A worker that answers so, with the path that it was asked for, and whether by another worker."""

    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=status, text=f"{name} {request.path_qs} {request.headers[FORWARDED]}")

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    return TestServer(app)


def members(own: str, *others: str) -> Members:
    """What one worker knows of all."""
    assignor: Any = SimpleNamespace(external_topics_metadata=lambda: dict.fromkeys((own, *others)))
    return Members(SimpleNamespace(assignor=assignor), own)


async def test_all_that_answer_are_heard_and_nobody_else() -> None:
    async with AsyncExitStack() as open_:
        servers = [answering(200, "one"), answering(503, "not ready"), answering(200, "two")]
        urls = [str((await open_.enter_async_context(server)).make_url("")).rstrip("/") for server in servers]
        own = f"http://127.0.0.1:{free_port()}"
        asking = members(own, *urls, f"http://127.0.0.1:{free_port()}")
        open_.push_async_callback(asking.close)
        told = await asking.ask_all("/v1/dead?limit=3")
    assert sorted(told) == [b"one /v1/dead?limit=3 1", b"two /v1/dead?limit=3 1"]


async def test_who_is_alone_asks_nobody() -> None:
    assert await members("http://127.0.0.1:1").ask_all("/v1/tally") == []
