"""The proof: what a node holds and has published, against the oracle and against a replay of its own record.

Promises: looks from outside, at the topics and the HTTP API; says of every difference what it is: lost (it should be
there), duplicated (it is there twice), wrong (another golden value or link) or unexplained (nothing accounts for it).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from chaos.generator import MAPPINGS
from chaos.oracle import Memory, Native, Truth
from chaos.run import Run
from isthmus.agents import merge
from isthmus.codecs.frames import Broken
from isthmus.config.errors import DecodeError
from isthmus.tables.golden import GOLDEN, Golden
from isthmus.tables.stage import Batch, Stage
from isthmus.tables.unit import Unit

PARTITIONS = 4
AT_ONCE = 32
TRIES = 10
Published = tuple[str, bytes, bytes, tuple[tuple[str, bytes], ...]]


@dataclass
class Findings:
    """How many of each kind, and some of them in words."""

    lost: int = 0
    wrong: int = 0
    duplicated: int = 0
    unexplained: int = 0
    words: list[str] = field(default_factory=list)

    def note(self, kind: str, number: int, what: str) -> None:
        """Count; nothing where the number is zero."""
        if number:
            setattr(self, kind, getattr(self, kind) + number)
            self.words.append(f"{kind} {number}: {what}")

    def counted(self) -> dict[str, int]:
        """The numbers by kind."""
        return {kind: getattr(self, kind) for kind in ("lost", "wrong", "duplicated", "unexplained")}


class Ground(Protocol):
    """A node's topics."""

    bootstrap: str
    namespace: str


async def prove(run: Run, truth: Truth) -> Findings:
    """Look at everything; the run is settled and its workers still answer."""
    found = Findings()
    _ledger(run, truth, found)
    await events(run, found)
    await _dead(run, found)
    await _golden(run, truth, found)
    return found


# -- the books


def _ledger(run: Run, truth: Truth, found: Findings) -> None:
    books = run.ledger
    found.note("unexplained", not books.get("balanced"), f"the books do not balance: {books}")
    for subject, wanted in truth.received.items():
        counted = books.get("subjects", {}).get(subject, {}).get("received", 0)
        found.note("lost", max(0, wanted - counted), f"changes of {subject} were not received")
        found.note("duplicated", max(0, counted - wanted), f"changes of {subject} were received again")


# -- the events


async def events(node: Ground, found: Findings) -> None:
    """Is what was published just what a replay of merge's input publishes?"""
    published = Counter(
        [_published(one) for entity in MAPPINGS.entities for one in await committed(node, f"events.{entity}")]
    )
    expected = Counter(replay(node.namespace, await committed(node, "merge")))
    for one, number in (expected - published).items():
        found.note("lost", number, f"event {one[0]} {one[1]!r} {one[2][:200]!r}")
    for one, number in (published - expected).items():
        kind = "duplicated" if one in expected else "unexplained"
        found.note(kind, number, f"event {one[0]} {one[1]!r} {one[2][:200]!r}")


def _published(record: ConsumerRecord) -> Published:
    return (record.topic, record.key, record.value, tuple(record.headers))


def replay(namespace: str, records: list[ConsumerRecord]) -> Iterator[Published]:
    """The events that merge must have published, given its input."""
    golden, stage = Memory(), merge.stage(MAPPINGS)
    for record in records:
        unit = Unit({GOLDEN.name: golden})
        stage.fold(unit, [Batch("merge", _elements(stage, record.value))])
        golden.apply(unit.encoded().get(GOLDEN.name, {}))
        for one in unit.records:
            if one.topic.startswith("events."):
                yield (f"{namespace}{one.topic}", one.key, one.value, tuple(one.headers))


def _elements(stage: Stage, value: bytes) -> list[Any]:
    """A frame's elements; a stranger's record has none that count."""
    elements = stage.inputs[0].elements
    assert elements is not None
    try:
        return [one for one in elements.decode(value, "merge") if not isinstance(one, Broken)]
    except DecodeError:
        return []


# -- the dead letters


async def _dead(run: Run, found: Findings) -> None:
    waiting = dict(run.injected)
    for record in await committed(run, "dead"):
        place = _place(orjson.loads(record.value), run.injected)
        waiting.pop(place or "", None)
        found.note("unexplained", place is None, f"dead letter {record.value[:300]!r}")
    found.note("lost", len(waiting), f"no dead letter for {waiting}")


def _place(letter: dict[str, Any], injected: Mapping[str, str]) -> str | None:
    """The stranger's record that a letter is about; None where it is about none."""
    text = str(letter["original"])
    if letter["encoding"] == "base64":
        text = base64.b64decode(text).decode(errors="replace")
    named = (place for place, token in injected.items() if token in text or letter["context"].get("at") == place)
    return next(named, None)


# -- golden records and links


async def _golden(run: Run, truth: Truth, found: Findings) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    async with aiohttp.ClientSession(base_url=run.running[0].url) as session:

        async def one(golden: Golden) -> None:
            async with gate:
                for problem in await _problems(session, golden):
                    found.note("wrong", 1, problem)

        if await _ask(session, "/health/live") is None:
            found.note("lost", len(truth.golden), "golden records: nobody answers")
            return
        await asyncio.gather(*(one(golden) for golden in truth.golden.values()))


async def _problems(session: aiohttp.ClientSession, golden: Golden) -> list[str]:
    """What differs; the ids of golden records may, since they are named after whoever came first."""
    natives = [(system, native) for system, held in golden.links.items() for native in held]
    heard = [native for native in natives if golden.registers.get(native[0], {}).get(native[1])]
    names = {native: await _name(session, native) for native in heard}
    if len(set(names.values())) != 1 or None in names.values():
        return [f"{golden.entity} of {natives}: its records are {names}"]
    canonical = next(iter(names.values()))
    shown = await _ask(session, f"/v1/golden/{golden.entity}/{canonical}")
    if shown is None:
        return [f"{golden.entity} {canonical} is not there"]
    fields = golden.values()
    wrong = {name: (shown["fields"].get(name), value) for name, value in fields.items()}
    wrong = {name: pair for name, pair in wrong.items() if pair[0] != pair[1]}
    problems = [f"{golden.entity} {canonical}: {wrong} (is, should be)"] if wrong else []
    if shown["links"] != golden.links:
        problems.append(f"{golden.entity} {canonical}: links {shown['links']}, not {golden.links}")
    return problems


async def _name(session: aiohttp.ClientSession, native: Native) -> str | None:
    told = await _ask(session, f"/v1/xref/{native[0]}/{native[1]}")
    return None if told is None else str(told["canonical"])


async def _ask(session: aiohttp.ClientSession, path: str) -> dict[str, Any] | None:
    """The answer; None where there is none or nobody gives one."""
    for _ in range(TRIES):
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(path) as response:
                if response.status == 404:
                    return None
                if response.status == 200:
                    body: dict[str, Any] = await response.json()
                    return body
        await asyncio.sleep(0.2)
    return None


# -- topics


async def committed(node: Ground, topic: str) -> list[ConsumerRecord]:
    """Every committed record of a topic, each partition in order."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=node.bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        max_partition_fetch_bytes=8 << 20,
    )
    await consumer.start()
    try:
        parts = [TopicPartition(node.namespace + topic, number) for number in range(PARTITIONS)]
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        ends = await consumer.end_offsets(parts)
        found: list[ConsumerRecord] = []
        while [part for part in parts if await consumer.position(part) < ends[part]]:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found.extend(records)
        return found
    finally:
        await consumer.stop()
