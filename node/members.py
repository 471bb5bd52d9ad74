"""Members: which worker holds which partition, as Faust's assignor told all of them, and how to ask it.

Promises: an answer for a partition comes from the worker that owns it; a question is forwarded once at most.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from faust.types import TP

FORWARDED = "x-isthmus-forwarded"


class Members:
    """The workers of this node, by their advertised URLs."""

    def __init__(self, app: Any, own_url: str) -> None:
        self._app = app
        self.own_url = own_url
        self._session: aiohttp.ClientSession | None = None

    def owner(self, topic: str, partition: int) -> str | None:
        """The URL of the worker that holds a partition; None while nobody does."""
        url = self._app.assignor._external_tps_url.get(TP(topic, partition))
        return None if url is None else str(url).rstrip("/")

    def others(self) -> list[str]:
        """All workers but this one."""
        urls = {str(url).rstrip("/") for url in self._app.assignor.external_topics_metadata()}
        return sorted(urls - {self.own_url})

    async def ask(self, url: str, path: str) -> tuple[int, bytes]:
        """Another worker's answer: status and body. Raises aiohttp.ClientError where it does not answer."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
        async with self._session.get(url + path, headers={FORWARDED: "1"}, allow_redirects=False) as response:
            return response.status, await response.read()

    async def ask_all(self, path: str) -> list[bytes]:
        """What all other workers answer, asked at once; nothing of those that do not, or are not ready."""
        told = await asyncio.gather(*(self._told(url, path) for url in self.others()))
        return [body for body in told if body is not None]

    async def _told(self, url: str, path: str) -> bytes | None:
        try:
            status, body = await self.ask(url, path)
        except (aiohttp.ClientError, TimeoutError):
            return None
        return body if status == 200 else None

    async def close(self) -> None:
        """Give connections back."""
        if self._session is not None:
            await self._session.close()
