"""Packing: what a unit of work holds, as Kafka records by (topic, partition), ready for one transaction.

Promises: elements and puts keep their order; frames are numbered without holes; a record too large for any topic is
`Oversized`, found before anything is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from isthmus.codecs.frames import Stamp, frames_of
from isthmus.config.errors import IsthmusError
from isthmus.tables.marker import MARKER_KEY, Marker
from isthmus.tables.unit import Headers, Record, Unit, partition_of

Entry = tuple[bytes | None, bytes | None, Headers]
Target = tuple[str, int]
RECORD_BYTES = 4 << 20


class Oversized(IsthmusError):
    """A record is larger than any topic takes."""

    code = "OVERSIZED"
    hint = "look the original up where `at` points; a smaller field or a mapping without it goes through"


class Names(Protocol):
    """Where things are on this node's Kafka."""

    @property
    def partitions(self) -> int:
        """Of every topic."""
        ...

    def topic(self, name: str) -> str:
        """A topic's full name."""
        ...

    def changelog(self, table: str) -> str:
        """A table's changelog topic."""
        ...


@dataclass(frozen=True, slots=True)
class Sender:
    """The stage partition that sends, and the table that keeps its marker."""

    name: str
    partition: int
    first_table: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """A unit in bytes: frames by topic name and partition, records for people, puts by table."""

    frames: dict[tuple[str, int], list[bytes]]
    records: Sequence[Record]
    puts: dict[str, dict[bytes, bytes | None]]


def encoded(unit: Unit, frame_bytes: int) -> Encoded:
    """A unit in bytes; Oversized where a record of it would fit no topic."""
    frames = {way: list(frames_of(elements, frame_bytes)) for way, elements in unit.frames.items()}
    puts = unit.encoded()
    for values in (
        *frames.values(),
        [record.value for record in unit.records],
        *(held.values() for held in puts.values()),
    ):
        longest = max(map(len, filter(None, values)), default=0)
        if longest > RECORD_BYTES:
            raise Oversized(f"a record of {longest} bytes, {RECORD_BYTES} at most")
    return Encoded(frames, unit.records, puts)


def addressed(unit: Encoded, sender: Sender, names: Names, marker: Marker) -> dict[Target, list[Entry]]:
    """All records of a unit; takes the numbers of its frames from the marker, which goes along as a put."""
    batches: dict[Target, list[Entry]] = {}
    for (name, partition), frames in unit.frames.items():
        target = (names.topic(name), partition)
        batches[target] = [(None, frame, Stamp(sender.name, marker.next_number(*target)).headers()) for frame in frames]
    topics = {name: names.topic(name) for name in {record.topic for record in unit.records}}
    for topic, key, value, headers, numbered in unit.records:
        target = (topics[topic], partition_of(key, names.partitions))
        stamped = [*headers, *Stamp(sender.name, marker.next_number(*target)).headers()] if numbered else headers
        if target in batches:
            batches[target].append((key, value, stamped))
        else:
            batches[target] = [(key, value, stamped)]
    unit.puts.setdefault(sender.first_table, {})[MARKER_KEY] = marker.dump()
    for table, values in unit.puts.items():
        batches[names.changelog(table), sender.partition] = [(key, value, []) for key, value in values.items()]
    return batches
