"""A Kafka of the trial's own that can be killed: the project's pinned one, on ports and a disk that stay the same.

Promises: `kill` is kill -9 of Kafka itself; `start` brings it back with what it had on the same address; it is ended by
its guard when the harness ends, in whatever way that is.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from isthmus.node.broker.jars import cache_folder, pinned, prepare
from isthmus.node.broker.local import GUARD, commands, server_properties
from isthmus.node.stagehand import free_port

START_SECONDS = 90.0


class Broker:
    """`bootstrap` stays the same from start to start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._controller = free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{self._port}"
        self._guard: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        classpath = await asyncio.to_thread(prepare, cache_folder() / "kafka", pinned())
        await asyncio.to_thread(self._launch, classpath)
        async with asyncio.timeout(START_SECONDS):
            while not await answers(self.bootstrap):
                await asyncio.sleep(0.05)

    def _launch(self, classpath: Sequence[Path]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        properties, topics = self._folder / "server.properties", self._folder / "topics"
        properties.write_text(server_properties(topics, self._port, self._controller))
        formatted = (topics / "meta.properties").exists()
        orders = {
            "commands": commands(classpath, properties, formatted),
            "log": str(self._folder / "kafka.log"),
            "grace": 10.0,
            "remove": None,
        }
        arguments = [sys.executable, "-I", "-S", str(GUARD), json.dumps(orders)]
        self._guard = subprocess.Popen(arguments, stdin=subprocess.PIPE, start_new_session=True)

    async def kill(self) -> None:
        """Kill Kafka, not its guard, and wait until both are gone."""
        assert self._guard is not None
        for child in _children(self._guard.pid):
            os.kill(child, signal.SIGKILL)
        await asyncio.to_thread(self._guard.wait)

    async def stop(self) -> None:
        """End it for good."""
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            await asyncio.to_thread(self._guard.wait)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def answers(bootstrap: str) -> bool:
    """Is a Kafka up here?"""
    host, _, port = bootstrap.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        return bool((await admin.describe_cluster())["brokers"])
    except KafkaError:
        return False
    finally:
        await admin.close()
