"""The faults that befall what a worker stands on: the broker, a topic, its disk, what is on its input topics.

Promises: each is taken back before it returns, except a corrupt record, which must become a dead letter.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    ResourceType,
)

from chaos.run import Fault, Run, Skipped

HOLD_SECONDS = 4.0
FULL_SECONDS = 12.0
DISK = "512m"  # larger than the state of any run here
LARGEST = 1_040_000
LIMIT = "512"  # frames are larger; the marks that end a transaction are not, and Kafka cannot do without those
TOPICS = ("changes.salesforce", "identify", "merge", "events.account", "golden-changelog", "dedup-changelog")
INPUTS = ("changes.salesforce", "changes.dynamics", "links", "identify", "merge", "writes.dynamics", "rereads.dynamics")


async def broker_killed(run: Run) -> None:
    """Kafka is killed -9 and comes back after a while, with its disk."""
    if run.broker is None:
        raise Skipped("the Kafka is not ours to kill")
    await run.broker.kill()
    await asyncio.sleep(run.chance.random() * HOLD_SECONDS)
    await run.broker.start()


def refuses(name: str, value: str) -> Fault:
    """A topic takes nothing for a while, because of one of its settings."""

    async def fault(run: Run) -> None:
        topic = run.namespace + run.chance.choice(TOPICS)
        exits = sum(len(hand.exits) for hand in run.hands)
        run.say(f"  {topic} {name}={value}")
        async with setting(run.bootstrap, topic, name, value):
            await asyncio.sleep(HOLD_SECONDS)
        ended = sum(len(hand.exits) for hand in run.hands) > exits
        run.notes[f"{name}: {'workers ended' if ended else 'workers waited'}"] += 1

    return fault


@contextlib.asynccontextmanager
async def setting(bootstrap: str, topic: str, name: str, value: str) -> AsyncIterator[None]:
    """One of a topic's settings is another for a while; then what the topic itself said before, or nothing again."""
    before = await asyncio.to_thread(own_setting, bootstrap, topic, name)
    await asyncio.to_thread(_set, bootstrap, topic, name, value)
    try:
        yield
    finally:
        await asyncio.to_thread(_set, bootstrap, topic, name, before)


def own_setting(bootstrap: str, topic: str, name: str) -> str | None:
    """What a topic itself says; None where it leaves that to its broker."""
    resource = ConfigResource(ResourceType.TOPIC, topic)
    admin = _admin(bootstrap)  # what it has not answered goes with it
    (told,) = admin.describe_configs([resource]).values()
    entry = told.result(30)[name]
    return str(entry.value) if entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value else None


def _set(bootstrap: str, topic: str, name: str, value: str | None) -> None:
    """Set one of a topic's settings; None takes it away."""
    what = AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET
    entry = ConfigEntry(name, value, incremental_operation=what)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = _admin(bootstrap)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)


def _admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})


async def disk_full(run: Run) -> None:
    """A worker's disk is full for a while: a small one of its own, filled to the last byte, then freed."""
    hand = await run.victim()
    await hand.stop()
    try:
        await asyncio.to_thread(_mount, hand.data)
    except (OSError, subprocess.CalledProcessError) as fault:
        await hand.start()
        raise Skipped(f"no file system can be mounted here: {fault}") from None
    try:
        await hand.start()
        await hand.ready()
        exits, filler = len(hand.exits), hand.data / "filler"
        await asyncio.to_thread(_fill, filler)
        try:
            run.notes[f"disk_full: exit {await hand.ended_since(exits, FULL_SECONDS)}"] += 1
        except TimeoutError:  # RocksDB writes what it holds in memory now and then only
            run.notes["disk_full: the worker went on"] += 1
        filler.unlink()
        await hand.ready()
    finally:
        await hand.stop()
        await asyncio.to_thread(subprocess.run, ["umount", str(hand.data)], check=True)
        await hand.start()


def _mount(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "isthmus-chaos", str(folder)]
    subprocess.run(command, check=True, capture_output=True)


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as filler:
        size = 1 << 20
        while size:
            try:
                filler.write(os.urandom(size))
            except OSError:
                size //= 2


# -- what nobody of ours has written


async def _put(run: Run, topic: str, value: bytes, headers: list[tuple[str, bytes]], token: str) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=run.bootstrap, compression_type="lz4", max_request_size=32 << 20, max_batch_size=32 << 20
    )
    await producer.start()
    try:
        where = await producer.send_and_wait(
            run.namespace + topic, value, partition=run.chance.randrange(4), headers=headers
        )
    finally:
        await producer.stop()
    run.injected[f"{where.topic}/{where.partition}/{where.offset}"] = token


def corrupt(make: Callable[[str], bytes], number: bytes | None, only: str | None = None) -> Fault:
    """A record that only a stranger can have written, on some input topic; `number`: what its stamp says, if it has one."""

    async def fault(run: Run) -> None:
        token = f"stranger-{run.chance.getrandbits(64):016x}"
        headers = [] if number is None else [("origin", token.encode()), ("number", number)]
        topic = only or run.chance.choice(INPUTS)
        run.say(f"  {token} on {topic}")
        await _put(run, topic, make(token), headers, token)

    return fault


def _garbage(token: str) -> bytes:
    return b"\xff{" + token.encode()


def _shape(token: str) -> bytes:
    return b'[1, null, "' + token.encode() + b'"]'


def _noise(token: str) -> bytes:
    """What nothing compresses, as large as Kafka takes it: whatever is said about it is larger."""
    return random.Random(token).randbytes(LARGEST // 2).hex().encode()


def _oversized(token: str) -> bytes:
    return b'[{"token":"' + token.encode() + b'","change":{"fields":{"Name":"' + _noise(token) + b'"}}}]'


KINDS: dict[str, tuple[Callable[[str], bytes], bytes | None]] = {
    "corrupt_record": (_garbage, b"0"),
    "corrupt_unstamped": (_garbage, None),
    "corrupt_stamp": (_shape, b"\xffone"),
    "corrupt_shape": (_shape, b"0"),
    "corrupt_oversized": (_oversized, b"0"),
}
GROUND: dict[str, Fault] = {
    "broker_killed": broker_killed,
    "topic_refuses": refuses("max.message.bytes", LIMIT),
    "topic_unsynced": refuses("min.insync.replicas", "2"),
    "disk_full": disk_full,
    **{name: corrupt(make, number) for name, (make, number) in KINDS.items()},
}
# To be asked for by name: each kind of strange record on each input topic.
STRANGE: dict[str, Fault] = {
    f"{name}@{topic}": corrupt(make, number, topic) for topic in INPUTS for name, (make, number) in KINDS.items()
}
