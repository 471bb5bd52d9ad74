"""Packing: what a unit of work holds, as Kafka records by (topic, partition), ready for one transaction.

Promises: elements and puts keep their order; frames are numbered without holes; a record too large for any topic is
`Oversized`, found before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from isthmus.codecs.frames import AT_ONCE, Stamp, arrays_of, joined
from isthmus.config.errors import Oversized
from isthmus.node.parcel import Parcel
from isthmus.tables.marker import MARKER_KEY, Marker
from isthmus.tables.unit import Headers, Record, Unit, partition_of

Entry = tuple[bytes | None, bytes | None, Headers]
Target = tuple[str, int]
RECORD_BYTES = 4 << 20
BARE: Headers = []


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
    """A unit in bytes: frames by topic name and partition, records for people that are packed when they are addressed, puts
    by table; `packed`: the records that are packed already."""

    frames: dict[tuple[str, int], list[bytes]]
    records: Sequence[Record]
    puts: dict[str, dict[bytes, bytes | None]]
    packed: dict[Target, Parcel] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cargo:
    """What goes into a transaction by target: entries, which may still be changed, and what is packed."""

    entries: dict[Target, list[Entry]] = field(default_factory=dict)
    parcels: dict[Target, list[Parcel]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes before they are compressed: of entries those of their values, of what is packed all."""
        held = sum(len(value or b"") for entries in self.entries.values() for _, value, _ in entries)
        return held + sum(parcel.size for parcels in self.parcels.values() for parcel in parcels)

    def __bool__(self) -> bool:
        return bool(self.entries or self.parcels)

    def add(self, other: Cargo) -> None:
        """Take another's along."""
        for target, entries in other.entries.items():
            self.entries.setdefault(target, []).extend(entries)
        for target, parcels in other.parcels.items():
            self.parcels.setdefault(target, []).extend(parcels)


class Packing:
    """The records that a unit publishes, packed while it grows, so that thousands of them never lie about."""

    def __init__(self, names: Names, frame_bytes: int) -> None:
        self.packed: dict[Target, Parcel] = {}
        self.arrays: dict[tuple[str, int], list[bytes]] = {}
        self._frame_bytes = frame_bytes
        self._topics: dict[str, str] = {}
        self._names = names
        self._partitions = names.partitions

    def take(self, unit: Unit) -> None:
        """Encode what was sent by now, where it is enough of it, and pack what was published, but for what is to be
        numbered. Oversized: a record would fit no topic."""
        self._encode(unit)
        left: list[Record] = []
        for record in unit.records:
            if record.numbered:
                left.append(record)
                continue
            if len(record.value) > RECORD_BYTES:
                raise oversized(len(record.value))
            self._parcel(record.topic, record.key).add(record.key, record.value, record.headers)
        unit.records = left

    def _encode(self, unit: Unit) -> None:
        for way, elements in unit.frames.items():
            count = len(elements) // AT_ONCE * AT_ONCE
            if count:
                self.arrays.setdefault(way, []).extend(arrays_of(elements[:count], self._frame_bytes))
                del elements[:count]

    def _parcel(self, topic: str, key: bytes) -> Parcel:
        name = self._topics.get(topic)
        if name is None:
            name = self._topics[topic] = self._names.topic(topic)
        target = (name, partition_of(key, self._partitions))
        parcel = self.packed.get(target)
        if parcel is None:
            parcel = self.packed[target] = Parcel()
        return parcel


def encoded(unit: Unit, frame_bytes: int, packing: Packing | None = None) -> Encoded:
    """A unit in bytes; Oversized where a record of it would fit no topic."""
    begun = {} if packing is None else packing.arrays
    frames = {
        way: list(joined([*begun.get(way, ()), *arrays_of(elements, frame_bytes)], frame_bytes))
        for way, elements in unit.frames.items()
    }
    puts = unit.encoded()
    for values in (
        *frames.values(),
        [record.value for record in unit.records],
        *(held.values() for held in puts.values()),
    ):
        longest = max(map(len, filter(None, values)), default=0)
        if longest > RECORD_BYTES:
            raise oversized(longest)
    return Encoded(frames, unit.records, puts, {} if packing is None else packing.packed)


def oversized(size: int) -> Oversized:
    """The refusal of a record of so many bytes."""
    return Oversized(f"a record of {size} bytes, {RECORD_BYTES} at most")


def addressed(unit: Encoded, sender: Sender, names: Names, marker: Marker) -> Cargo:
    """All records of a unit; takes the numbers of its frames from the marker, which goes along as a put."""
    entries: dict[Target, list[Entry]] = {}
    for (name, partition), frames in unit.frames.items():
        target = (names.topic(name), partition)
        entries[target] = [(None, frame, Stamp(sender.name, marker.next_number(*target)).headers()) for frame in frames]
    for record in unit.records:
        target = (names.topic(record.topic), partition_of(record.key, names.partitions))
        stamp = Stamp(sender.name, marker.next_number(*target)).headers() if record.numbered else []
        entries.setdefault(target, []).append((record.key, record.value, [*record.headers, *stamp]))
    unit.puts.setdefault(sender.first_table, {})[MARKER_KEY] = marker.dump()
    parcels = {target: [parcel] for target, parcel in unit.packed.items()}
    for table, values in unit.puts.items():
        parcels[names.changelog(table), sender.partition] = [_changelog(values)]
    return Cargo(entries, parcels)


def _changelog(puts: Mapping[bytes, bytes | None]) -> Parcel:
    parcel = Parcel()
    for key, value in puts.items():
        parcel.add(key, value, BARE)
    return parcel
