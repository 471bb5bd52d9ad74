"""A worker as a process of its own, for the demo and the tests: started, killed, started again, and stopped for good.

Promises: stops what it started and only that; a worker that ends by itself because it was in doubt is started again, as
any supervisor would.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import aiohttp

from isthmus.config.errors import IsthmusError

STOP_SECONDS = 20.0
START_SECONDS = 90.0


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Worker:
    """`isthmus worker` with these settings; its log goes to `log`."""

    def __init__(self, settings: Mapping[str, str], log: Path) -> None:
        self.settings = settings
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self.restarts = 0

    @property
    def url(self) -> str:
        """Where it can be asked."""
        return f"http://127.0.0.1:{self.settings['ISTHMUS_NODE__HTTP_PORT']}"

    async def __aenter__(self) -> Worker:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it and watch over it."""
        await self._spawn()
        self._watch = asyncio.create_task(self._supervise())

    async def _spawn(self) -> None:
        environment = {**os.environ, **self.settings}
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "isthmus.node.cli", "worker", env=environment, stdout=log, stderr=log
            )

    async def _supervise(self) -> None:
        while self._process is not None:
            await self._process.wait()
            self.restarts += 1
            await asyncio.sleep(0.5)
            await self._spawn()

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal and wait for its end; `start` begins again."""
        if self._watch is not None:
            self._watch.cancel()
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()

    async def stop(self) -> None:
        """Stop it for good."""
        try:
            await asyncio.wait_for(self.kill(signal.SIGTERM), STOP_SECONDS)
        except TimeoutError:
            await self.kill()

    async def ready(self) -> None:
        """Wait until it can do its work; IsthmusError with the end of its log where it cannot."""
        try:
            async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as session:
                while not await _answers(session, f"{self.url}/health/ready"):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise IsthmusError("the worker does not become ready", hint=self.last_words()) from None

    def last_words(self) -> str:
        """The end of its log."""
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return "its log ends: " + " | ".join(text.splitlines()[-6:])


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False
