"""The replay: what merge must have published given its recorded input, beside what is published.

Promises: pure but for reading topics; a partition at a time, so that several run side by side; keeps of an event only its
digest, and puts those into words that are asked for.
"""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec

from chaos.generator import MAPPINGS
from chaos.oracle import Memory
from chaos.topics import PARTITIONS, Read, committed
from isthmus.agents import merge
from isthmus.codecs.frames import Broken, in_turn, turn_of
from isthmus.config.errors import DecodeError
from isthmus.tables.stage import Batch, Stage
from isthmus.tables.unit import Unit

SHOWN = 200
Digest = bytes
Event = tuple[str, Read]


@dataclass(frozen=True, slots=True)
class Node:
    """Where a node's topics are."""

    bootstrap: str
    namespace: str


@dataclass(slots=True)
class Difference:
    """An event that should be there so often, and is there so often."""

    expected: int = 0
    published: int = 0
    words: str = ""


async def differences(node: Node) -> list[Difference]:
    """Every event that is not there just as often as it should be."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(PARTITIONS, os.cpu_count() or 1), mp_context=fresh) as pool:
        found = await _compared(pool, node, frozenset())
        differing = frozenset(digest for digest, one in found.items() if one.expected != one.published)
        if differing:
            found = await _compared(pool, node, differing)
    return [one for one in found.values() if one.expected != one.published]


async def _compared(pool: ProcessPoolExecutor, node: Node, wanted: frozenset[Digest]) -> dict[Digest, Difference]:
    loop = asyncio.get_running_loop()
    parts = [loop.run_in_executor(pool, compare, node, number, wanted) for number in range(PARTITIONS)]
    found: dict[Digest, Difference] = {}
    for part in await asyncio.gather(*parts):
        for digest, one in part.items():
            held = found.setdefault(digest, Difference())
            held.expected += one.expected
            held.published += one.published
            held.words = held.words or one.words
    return found


def compare(node: Node, partition: int, wanted: frozenset[Digest]) -> dict[Digest, Difference]:
    """What differs in a partition, and in words what is wanted."""
    words: dict[Digest, str] = {}
    expected = _counted(replay(node.namespace, _done(*_at(node, "merge", partition))), wanted, words)
    published = _counted(_published(node, partition), wanted, words)
    differing = {digest for digest in (*expected, *published) if expected[digest] != published[digest]}
    return {
        one: Difference(expected[one], published[one], words.get(one, "")) for one in differing | (wanted & {*words})
    }


def _at(node: Node, topic: str, partition: int) -> tuple[str, str, int]:
    return node.bootstrap, node.namespace + topic, partition


def _done(bootstrap: str, topic: str, partition: int) -> Iterator[Read]:
    """The committed records of a stage's input, in the order in which they were done."""
    turns = {turn for record in committed(bootstrap, topic, partition) if (turn := turn_of(record.headers)) is not None}
    return in_turn(committed(bootstrap, topic, partition), turns)


def _counted(events: Iterable[Event], wanted: frozenset[Digest], words: dict[Digest, str]) -> Counter[Digest]:
    counted: Counter[Digest] = Counter()
    for topic, event in events:
        whole = msgspec.msgpack.encode((topic, event.key, event.value, list(event.headers)))
        digest = hashlib.blake2b(whole, digest_size=16).digest()
        counted[digest] += 1
        if digest in wanted:
            words[digest] = f"event {topic} {event.key!r} {event.value[:SHOWN]!r}"
    return counted


def _published(node: Node, partition: int) -> Iterator[Event]:
    for entity in MAPPINGS.entities:
        where = _at(node, f"events.{entity}", partition)
        for record in committed(*where):
            yield where[1], record


def replay(namespace: str, records: Iterable[Read]) -> Iterator[Event]:
    """The events that merge must have published, given its input."""
    stage = merge.stage(MAPPINGS)
    tables = {table.name: Memory() for table in stage.tables}
    for record in records:
        unit = Unit(tables)
        stage.fold(unit, [Batch("merge", elements(stage, record.value))])
        for name, puts in unit.encoded().items():
            tables[name].apply(puts)
        for one in unit.records:
            if one.topic.startswith("events."):
                yield f"{namespace}{one.topic}", Read(one.key, one.value, one.headers)


def elements(stage: Stage, value: bytes) -> Sequence[Any]:
    """A frame's elements; a stranger's record has none that count."""
    decoder = stage.inputs[0].elements
    assert decoder is not None
    try:
        return [one for one in decoder.decode(value, "merge") if not isinstance(one, Broken)]
    except DecodeError:
        return []
