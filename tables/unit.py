"""A unit of work: the state it may see, and everything it is to do to the world, held until all of it becomes durable.

Promises: reads see the unit's own puts first; state that is read may be changed in place, and counts only where it is
put; a trial on top of a unit that fails leaves no trace.
"""

from __future__ import annotations

import heapq
import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from isthmus.codecs.dead import DeadLetter
from isthmus.codecs.frames import encode
from isthmus.tables.newest import Newest

Headers = list[tuple[str, bytes]]
T = TypeVar("T")
NOTHING: Mapping[str, str] = {}


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key: its CRC-32, as librdkafka's `consistent` partitioner takes it."""
    return zlib.crc32(key) % partitions


class Table(Generic[T]):
    """A table's name and the type of its values. `as_bytes`: a value is so many objects that its bytes, in one place, are
    quicker to read anew than the objects, scattered over memory, are to look at again. `former`: reads values that were
    stored in another form before."""

    __slots__ = ("as_bytes", "decode", "name")

    def __init__(
        self, name: str, type_: Any, *, as_bytes: bool = False, former: Callable[[bytes], T] | None = None
    ) -> None:
        self.name = name
        self.as_bytes = as_bytes
        decode: Callable[[bytes], T] = msgspec.json.Decoder(type_).decode
        self.decode = decode if former is None else _either(decode, former)

    def __repr__(self) -> str:
        return f"Table({self.name})"


def _either(decode: Callable[[bytes], T], former: Callable[[bytes], T]) -> Callable[[bytes], T]:
    def read(raw: bytes) -> T:
        try:
            return decode(raw)
        except msgspec.ValidationError:
            return former(raw)

    return read


class Record:
    """One record for a topic that people read; its partition is its key's. `numbered`: a stage reads it too, and is to
    notice where one is missing."""

    __slots__ = ("headers", "key", "numbered", "topic", "value")

    def __init__(self, topic: str, key: bytes, value: bytes, headers: Headers, numbered: bool = False) -> None:
        self.topic = topic
        self.key = key
        self.value = value
        self.headers = headers
        self.numbered = numbered


class View(Protocol):
    """A table partition as it stands."""

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, None where there is none."""
        ...

    def scan(self, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Keys that begin with a prefix, from `start` on, in order, with their values."""
        ...


class Unit:
    """`views`: the tables by name; `partitions`: of every topic; `known`: values that were read before (`as_bytes`: their
    bytes), by table and key. `due`: when (seconds) the stage wants its next tick; `place`: the record that is worked on
    (topic/partition/offset), where it is only one; `mapped`: by which version of its mapping each entity is worked on."""

    __slots__ = ("counts", "due", "frames", "known", "mapped", "partitions", "place", "puts", "records", "views")

    def __init__(
        self,
        views: Mapping[str, View],
        partitions: int = 1,
        known: Mapping[str, Newest] | None = None,
        mapped: Mapping[str, str] = NOTHING,
    ) -> None:
        self.views = views
        self.mapped = mapped
        self.known = known or {name: Newest() for name in views}
        self.partitions = partitions
        self.puts: dict[str, dict[bytes, Any]] = {name: {} for name in views}
        self.frames: dict[tuple[str, int], list[Any]] = {}
        self.records: list[Record] = []
        self.counts: dict[str, dict[str, int]] = {}
        self.due: float | None = None
        self.place = ""

    def get(self, table: Table[T], key: bytes) -> T | None:
        """A table's value; None where there is none."""
        own = self.puts[table.name]
        held: Any = own[key] if key in own else self._known(table, key)
        value: T | None = table.decode(held) if table.as_bytes and held is not None else held
        return value

    def _known(self, table: Table[T], key: bytes) -> Any:
        """What was known of a key before this unit; of a table that is kept as bytes, those."""
        known = self.known[table.name]
        held: Any = known.get(key)
        if held is None:
            raw = self.views[table.name].get(key)
            if raw is not None:
                held = raw if table.as_bytes else table.decode(raw)
                known.add(key, held)
        return held

    def put(self, table: Table[T], key: bytes, value: T | None) -> None:
        """Set a table's value; None deletes the key. What is kept as bytes is encoded while it is still at hand."""
        self.puts[table.name][key] = encode(value) if table.as_bytes and value is not None else value

    def keys(self, table: str, prefix: bytes, start: bytes = b"") -> Iterator[bytes]:
        """A table's keys that begin with a prefix, from `start` on, in order, as the unit leaves them by now."""
        own = self.puts[table]
        mine = sorted(key for key in own if key.startswith(prefix) and key >= start)
        stored = (key for key, _ in self.views[table].scan(prefix, start))
        for key, _ in itertools.groupby(heapq.merge(mine, stored)):
            if own.get(key, key) is not None:
                yield key

    def send(self, topic: str, key: bytes, element: Any) -> None:
        """Add an element to the frame for the partition of `key`."""
        way = (topic, partition_of(key, self.partitions))
        if way in self.frames:
            self.frames[way].append(element)
        else:
            self.frames[way] = [element]

    def publish(self, record: Record) -> None:
        """Add one record for people to read."""
        self.records.append(record)

    def bury(self, letter: DeadLetter) -> None:
        """Publish a dead letter."""
        letter = letter.at(self.place).under(self.mapped)
        self.publish(Record("dead", letter.key(), letter.value(), [("content-type", b"application/json")], True))

    def count(self, system: str, entity: str, outcome: str, number: int = 1) -> None:
        """Count an outcome in the ledger."""
        subject = f"{system}/{entity}"
        held = self.counts.get(subject)
        if held is None:
            held = self.counts[subject] = {}
        held[outcome] = held.get(outcome, 0) + number

    def encoded(self) -> dict[str, dict[bytes, bytes | None]]:
        """The puts as they are stored, by table; tables without any are left out."""
        return {name: {key: _stored(value) for key, value in puts.items()} for name, puts in self.puts.items() if puts}

    def trial(self) -> Unit:
        """A unit on top of this one, for work that may fail: nothing of it counts until it is adopted."""
        trial = Unit({name: Above(self, name) for name in self.views}, self.partitions, mapped=self.mapped)
        trial.place = self.place
        return trial

    def adopt(self, trial: Unit) -> None:
        """Take over what a trial did."""
        for name, puts in trial.puts.items():
            self.puts[name].update(puts)
        for way, elements in trial.frames.items():
            self.frames.setdefault(way, []).extend(elements)
        self.records += trial.records
        self.due = trial.due
        for subject, outcomes in trial.counts.items():
            system, _, entity = subject.partition("/")
            for outcome, number in outcomes.items():
                self.count(system, entity, outcome, number)


def _stored(value: Any) -> bytes | None:
    """A put as it is stored."""
    return value if value is None or isinstance(value, bytes) else encode(value)


class Above:
    """A unit's table as a view for a trial on top of it: values are copies, so that a failure changes nothing."""

    def __init__(self, unit: Unit, table: str) -> None:
        self._unit = unit
        self._table = table

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, with the unit's own puts."""
        own = self._unit.puts[self._table]
        if key in own:
            return _stored(own[key])
        return self._unit.views[self._table].get(key)

    def scan(self, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Keys with their values, the unit's own puts among them."""
        for key in self._unit.keys(self._table, prefix, start):
            raw = self.get(key)
            if raw is not None:
                yield key, raw
