"""The door of a running worker: its HTTP API, as our own commands use it.

Promises: what a worker answers comes back as it is; an error of its own is NotDone, with its hint; one that does not answer
is said with what to do.
"""

from __future__ import annotations

import asyncio
import getpass
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from isthmus.config.errors import ConfigError, IsthmusError
from isthmus.config.settings import Settings


class NotDone(IsthmusError):
    """A worker did not do it."""

    code = "NOT_DONE"


class Door:
    """The HTTP API of a running worker."""

    def __init__(self, session: aiohttp.ClientSession, settings: Settings) -> None:
        self._session = session
        self._url = settings.node.own_url
        self._token = settings.node.operator_token

    async def get(self, path: str, query: Mapping[str, str]) -> Any:
        """The answer; NotDone where it is an error."""
        return await self._answer(self._session.get(f"{self._url}{path}", params=query))

    async def post(self, path: str, body: Any) -> Any:
        """The same, with the operator's token."""
        if self._token is None:
            raise ConfigError("nobody may change anything", hint="set node.operator_token, here and for the workers")
        headers = {"Authorization": f"Bearer {self._token.get_secret_value()}", "Content-Type": "application/json"}
        return await self._answer(self._session.post(f"{self._url}{path}", data=orjson.dumps(body), headers=headers))

    async def _answer(self, asking: Any) -> Any:
        try:
            async with asking as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as fault:
            hint = "start one with `isthmus worker`"
            raise IsthmusError(f"no worker answers at {self._url}: {fault}", hint=hint) from None
        try:
            told = orjson.loads(body)
        except orjson.JSONDecodeError:
            told = {"error": body.decode(errors="replace")}
        if response.status not in (200, 202):
            raise NotDone(str(told.get("error")), hint=str(told.get("hint", "")))
        return told


@asynccontextmanager
async def _door(settings: Settings) -> AsyncIterator[Door]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield Door(session, settings)


def through(settings: Settings, work: Callable[[Door], Awaitable[int]]) -> int:
    """Do this through the door of the worker that the settings name; its exit code."""

    async def run() -> int:
        async with _door(settings) as door:
            return await work(door)

    return asyncio.run(run())


def printed(told: Any) -> None:
    """Print JSON on stdout."""
    sys.stdout.write(orjson.dumps(told).decode() + "\n")


def myself() -> str:
    """Who gives an order, where nobody else is named."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
