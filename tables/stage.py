"""What a stage is and what its work may do: the protocol between agents, which decide, and the runtime, which keeps.

Promises: an agent sees state only through a `Unit` and changes the world only through it; everything a unit holds
becomes durable in one Kafka transaction, or none of it does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from isthmus.codecs.dead import DeadLetter

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Item:
    """One element to work on: the topic it came by, and the element (of a record that is no frame, its message)."""

    topic: str
    element: Any


@dataclass(frozen=True, slots=True)
class Record:
    """One record for a topic that people read; its partition is its key's."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


class View(Protocol):
    """A table partition as it stands."""

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, None where there is none."""
        ...

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Keys that begin with a prefix, with their values."""
        ...


@dataclass(slots=True)
class Unit:
    """One unit of work: reads see the unit's own puts first."""

    views: Mapping[str, View]
    puts: dict[str, dict[bytes, bytes | None]] = field(default_factory=lambda: defaultdict(dict))
    frames: dict[str, list[tuple[bytes, bytes]]] = field(default_factory=lambda: defaultdict(list))
    records: list[Record] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    due: float | None = None

    def get(self, table: str, key: bytes) -> Any:
        """A table's value, decoded from JSON; None where there is none."""
        own = self.puts.get(table)
        raw = own[key] if own is not None and key in own else self.views[table].get(key)
        return None if raw is None else orjson.loads(raw)

    def put(self, table: str, key: bytes, value: Any) -> None:
        """Set a table's value; None deletes the key."""
        self.puts[table][key] = None if value is None else orjson.dumps(value)

    def send(self, topic: str, key: bytes, element: Any) -> None:
        """Add an element to the frame for the partition of `key`."""
        self.frames[topic].append((key, orjson.dumps(element)))

    def publish(self, record: Record) -> None:
        """Add one record for people to read."""
        self.records.append(record)

    def bury(self, letter: DeadLetter) -> None:
        """Publish a dead letter."""
        self.publish(Record("dead", letter.key(), letter.value(), [("content-type", b"application/json")]))

    def count(self, system: str, entity: str, outcome: str, number: int = 1) -> None:
        """Count an outcome in the ledger."""
        held = self.counts.setdefault(f"{system}/{entity}", {})
        held[outcome] = held.get(outcome, 0) + number


class Pen(Protocol):
    """How a source writes: `partition` is the one it runs for."""

    partition: int

    def view(self, table: str) -> View:
        """A table partition of the source's stage."""
        ...

    async def commit(self, work: Callable[[Unit], None]) -> None:
        """Do one unit of work that no input caused; returns when it is durable."""
        ...


Fold = Callable[[Unit, Sequence[Item]], Awaitable[None] | None]
STEPS = ("taken", "folded", "begun", "sent", "committed", "applied", "acked")
Step = Callable[[str], None]


def no_step(name: str) -> None:
    """Nothing is to happen at a step of the unit of work."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: its input topics, its tables (the first one holds the marker), and the function that does its work.

    `fold` must not raise: an error of one element is data and becomes an output. `source`, for a stage that is fed
    from outside Kafka, runs on the owner of each partition until the partition is taken away. With `ticks` the stage gets
    an item of topic "tick" when it starts and again whenever the time a unit named as `due` (seconds) has come.
    """

    name: str
    inputs: tuple[str, ...]
    tables: tuple[str, ...]
    fold: Fold
    source: Callable[[Pen], Awaitable[None]] | None = None
    ticks: bool = False
