"""The local Kafka: it is real, it is fetched safely, it keeps what it should and leaves nothing behind."""

from __future__ import annotations

import asyncio
import hashlib
import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from isthmus.config.errors import IsthmusError
from isthmus.node.broker import local_kafka
from isthmus.node.broker.jars import Jar, pinned, prepare

CONTENTS = {"lamp": b"l" * 70_000, "wick": b"w" * 30_000}
JARS = [
    Jar(hashlib.sha256(content).hexdigest(), len(content), f"org.lamp:{name}:1.0") for name, content in CONTENTS.items()
]


class Repository:
    """A Maven repository on localhost, which counts what it is asked for and can be told to spoil it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.spoil: Callable[[bytes], bytes] = lambda content: content
        self.url = ""

    def answer(self, path: str) -> bytes | None:
        """The content of a path, None where there is none."""
        self.asked.append(path)
        found = {f"/org/lamp/{name}/1.0/{name}-1.0.jar": content for name, content in CONTENTS.items()}.get(path)
        return None if found is None else self.spoil(found)


@pytest.fixture
def repository() -> Iterator[Repository]:
    repository = Repository()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = repository.answer(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("content-length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        repository.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield repository
        server.shutdown()


def jars_asked(repository: Repository) -> list[str]:
    return [path for path in repository.asked if path.endswith(".jar")]


def test_the_lock_pins_kafka_and_every_jar_once() -> None:
    coordinates = [jar.coordinate for jar in pinned()]
    assert "org.apache.kafka:kafka_2.13:4.2.2" in coordinates
    assert len({jar.name for jar in pinned()}) == len(coordinates) > 40
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in pinned())


def test_jars_are_fetched_once_and_then_found_in_the_cache(tmp_path: Path, repository: Repository) -> None:
    files = prepare(tmp_path, JARS, repository.url)
    assert [file.read_bytes() for file in files] == list(CONTENTS.values())
    prepare(tmp_path, JARS, "http://127.0.0.1:1")
    assert len(jars_asked(repository)) == 2


def test_a_spoilt_jar_in_the_cache_is_fetched_anew(tmp_path: Path, repository: Repository) -> None:
    first, _ = prepare(tmp_path, JARS, repository.url)
    first.write_bytes(b"x" * 70_000)
    prepare(tmp_path, JARS, repository.url)
    assert first.read_bytes() == CONTENTS["lamp"]


def test_bytes_that_are_not_the_pinned_ones_never_reach_the_cache(tmp_path: Path, repository: Repository) -> None:
    repository.spoil = lambda content: b"!" + content[1:]
    with pytest.raises(IsthmusError, match="not the file that is pinned") as caught:
        prepare(tmp_path, JARS, repository.url)
    assert "ISTHMUS_MAVEN_URL" in caught.value.hint
    assert not list(tmp_path.glob("*.jar"))
    assert not list(tmp_path.glob(".part-*"))


def test_a_passing_fault_of_the_repository_is_ridden_out(tmp_path: Path, repository: Repository) -> None:
    repository.spoil = lambda content: content if len(jars_asked(repository)) > 2 else content[:10]
    files = prepare(tmp_path, JARS, repository.url)
    assert [file.read_bytes() for file in files] == list(CONTENTS.values())


def test_without_a_network_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(IsthmusError) as caught:
        prepare(tmp_path, JARS, "http://127.0.0.1:1")
    assert caught.value.code == "KAFKA"
    assert "KAFKA_URL" in caught.value.hint


def test_processes_that_fetch_at_once_share_one_download(tmp_path: Path, repository: Repository) -> None:
    results: list[list[Path]] = []
    threads = [
        threading.Thread(target=lambda: results.append(prepare(tmp_path, JARS, repository.url))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert len(jars_asked(repository)) == 2


async def test_kafka_url_wins_and_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_URL", "kafka://one:9092;two:9093")
    async with local_kafka() as bootstrap:
        assert bootstrap == "one:9092,two:9093"


async def test_the_local_kafka_carries_transactions(kafka: str, namespace: str) -> None:
    topic = f"{namespace}lamps"
    await create(kafka, topic)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"{namespace}hand")
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait(topic, b"lit")
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"never lit")
    await producer.abort_transaction()
    await producer.stop()
    assert await everything(kafka, topic) == [b"lit"]


@pytest.mark.skipif("KAFKA_URL" in os.environ, reason="a Kafka was given: none is started")
async def test_a_second_kafka_gets_along_and_keeps_its_topics_over_a_restart(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    topic = f"{namespace}lamps"
    async with local_kafka(tmp_path) as second:
        assert second != kafka
        await create(second, topic)
        async with AIOKafkaProducer(bootstrap_servers=second) as producer:
            await producer.send_and_wait(topic, b"lit")
    assert not listening(second)
    async with local_kafka(tmp_path) as third:
        assert third != second
        assert await everything(third, topic) == [b"lit"]
        with pytest.raises(IsthmusError, match="another Kafka is using"):
            async with local_kafka(tmp_path):
                pass
    assert listening(kafka)


@pytest.mark.skipif("KAFKA_URL" in os.environ, reason="a Kafka was given: none is started")
def test_kafka_and_its_folder_go_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    code = (
        "import signal\n"
        "from isthmus.node.broker import running_kafka\n"
        "with running_kafka() as bootstrap:\n"
        "    print(bootstrap, flush=True)\n"
        "    signal.pause()\n"
    )
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environ, text=True) as parent:
        assert parent.stdout is not None
        bootstrap = parent.stdout.readline().strip()
        assert listening(bootstrap)
        assert list(tmp_path.iterdir())
        parent.send_signal(signal.SIGKILL)
    until(lambda: not listening(bootstrap))
    until(lambda: not list(tmp_path.iterdir()))


async def create(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()


async def everything(bootstrap: str, topic: str) -> list[bytes]:
    """All committed values of the topic's one partition."""
    partition = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        values: list[bytes] = []
        async with asyncio.timeout(20):
            while await consumer.position(partition) < end:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    values += [record.value for record in records]
        return values
    finally:
        await consumer.stop()


def listening(bootstrap: str) -> bool:
    host, _, port = bootstrap.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for a condition; AssertionError where it does not come."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
