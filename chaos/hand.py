"""A supervised worker process of the trial: started again whenever it ends, and timed from its death to its readiness.

Promises: touches only the process it started; every exit is written down with its code; a worker that ends by itself at
once, again and again, is started with a pause in between, as any supervisor would.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from chaos.orders import Orders, give
from isthmus.node.stagehand import free_port

ROOT = Path(__file__).parents[1]
PAUSE_SECONDS = 0.5
READY_SECONDS = 120.0
STOP_SECONDS = 40.0
KILLED = -signal.SIGKILL


class Hand:
    """One worker; `exits` are the codes it ended with, `restarts` the seconds from a kill -9 to ready again, `deserted`
    how often it ended with code 0 though nobody asked it to: few supervisors would start it again."""

    def __init__(self, name: str, run: Path, settings: Mapping[str, str]) -> None:
        self.name = name
        self.folder = run / name
        self.data = self.folder / "state"
        self.exits: list[int] = []
        self.restarts: list[float] = []
        self.deserted = 0
        self._asked = False
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._timed: asyncio.Task[None] | None = None
        self._port = free_port()
        self._settings = settings
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        """Where it can be asked."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def running(self) -> bool:
        """Is it meant to run?"""
        return self._watch is not None

    @property
    def pid(self) -> int:
        """Of its present process."""
        assert self._process is not None
        return self._process.pid

    # -- life

    async def start(self) -> None:
        """Start it and watch over it."""
        await self._spawn()
        self._watch = asyncio.create_task(self._supervise())

    async def _spawn(self) -> None:
        own = {
            "ISTHMUS_NODE__DATA_DIR": str(self.data),
            "ISTHMUS_NODE__HTTP_PORT": str(self._port),
            "ISTHMUS_NODE__INSTANCE": f"{self._settings['ISTHMUS_NODE__NAMESPACE']}{self.name}",
            "CHAOS_OWN": str(self.folder),
        }
        command = (sys.executable, "-m", "chaos.worker")
        with (self.folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, env={**os.environ, **self._settings, **own}, stdout=log, stderr=log
            )

    async def _supervise(self) -> None:
        while True:
            assert self._process is not None
            code = await self._process.wait()
            died = time.monotonic()
            self.exits.append(code)
            self.deserted += code == 0 and not self._asked
            self._asked = False
            if code == KILLED:
                self._timed = asyncio.create_task(self._time(died, len(self.exits)))
            else:
                await asyncio.sleep(PAUSE_SECONDS)
            await self._spawn()

    async def _time(self, died: float, life: int) -> None:
        await self.ready()
        if len(self.exits) == life:
            self.restarts.append(time.monotonic() - died)

    async def stop(self) -> None:
        """SIGTERM, and do not start it again; kill -9 where that does not end it. Notes the exit code."""
        if self._watch is None or self._process is None:
            return
        self._watch.cancel()
        self._watch = None
        process = self._process
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
            self.exits.append(process.returncode or 0)

    # -- trouble

    def order(self, orders: Orders) -> None:
        """Tell it; ready workers only, for others do not listen yet."""
        give(self.folder, orders)
        self.signal(signal.SIGUSR1)

    def signal(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        if self._process is not None and self._process.returncode is None:
            self._asked = number == signal.SIGTERM
            self._process.send_signal(number)

    def stands_still(self) -> bool:
        """Is its process stopped (SIGSTOP)?"""
        with contextlib.suppress(FileNotFoundError):
            return Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
        return False

    async def ended(self, seconds: float) -> int:
        """Wait for one more exit than there are now; its code. TimeoutError where none comes."""
        return await self.ended_since(len(self.exits), seconds)

    async def ended_since(self, exits: int, seconds: float) -> int:
        """Wait until there are more exits than `exits`; the code of the first of those."""
        async with asyncio.timeout(seconds):
            while len(self.exits) <= exits:
                await asyncio.sleep(0.02)
        return self.exits[exits]

    async def wipe(self) -> None:
        """Kill it and take its disk away before it is back."""
        assert self._watch is not None
        assert self._process is not None
        self._watch.cancel()
        self._process.kill()
        self.exits.append(await self._process.wait())
        died = time.monotonic()
        await asyncio.to_thread(shutil.rmtree, self.data, ignore_errors=True)
        await self.start()
        self._timed = asyncio.create_task(self._time(died, len(self.exits)))

    # -- questions

    async def ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until it can do its work; TimeoutError where it cannot."""
        async with asyncio.timeout(seconds), aiohttp.ClientSession() as session:
            while not await self._is_ready(session):
                await asyncio.sleep(0.05)

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            timeout = aiohttp.ClientTimeout(total=5)
            async with session.get(f"{self.url}/health/ready", timeout=timeout) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def busy(self) -> bool:
        """Does it hold any partition? Where there are few, Faust may leave a worker without one."""
        timeout = aiohttp.ClientTimeout(total=5)
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{self.url}/v1/tally") as told:
                return bool((await told.json())["lanes"])
        return False

    def last_words(self, lines: int = 12) -> str:
        """The end of its log."""
        file = self.folder / "log"
        return "\n".join(file.read_text(errors="replace").splitlines()[-lines:]) if file.exists() else ""
