"""What a stage is: the protocol between agents, which decide, and the runtime, which keeps.

Promises: a stage is declared as data (its inputs, its tables, its function), so topics, tables, lanes and the read API
follow from the declaration.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from isthmus.codecs.frames import Elements
from isthmus.tables.unit import Table, Unit, View

STEPS = ("taken", "folded", "begun", "sent", "committed", "applied", "acked")
Step = Callable[[str], None]


def no_step(name: str) -> None:
    """Nothing is to happen at a step of the unit of work."""


class Batch(NamedTuple):
    """Elements that came by one topic, in order (of a topic without frames, its messages; of "tick", the time)."""

    topic: str
    elements: Sequence[Any]


class Input(NamedTuple):
    """An input topic; `elements` None: its records are no frames of ours and are handed over as they are. `first`: what
    stands in it when its partition is opened is done before anything of the other inputs; none of our stages writes it."""

    topic: str
    elements: Elements | None
    first: bool = False


class Pen(Protocol):
    """How a source writes: `partition` is the one it runs for."""

    partition: int

    def view(self, table: str) -> View:
        """A table partition of the source's stage."""
        ...

    async def commit(self, work: Callable[[Unit], None]) -> None:
        """Do one unit of work that no input caused; returns when it is durable."""
        ...


Fold = Callable[[Unit, Sequence[Batch]], Awaitable[None] | None]
Each = Callable[[Unit, Any], None]
Bury = Callable[[Unit, bytes, Exception], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: its inputs, its tables (the first one holds the marker), and the function that does its work.

    `fold` does a unit's batches. One that raises is asked again element by element, each on a copy of the state; what
    raises even then goes to `bury` with its bytes, as does what is no element of its topic at all. `source`, for a stage
    that is fed from outside Kafka, runs on the owner of each partition until the partition is taken away. With `ticks`
    the stage gets a batch of topic "tick" when it starts and again whenever the time a unit named as `due` has come.
    `at_once`: its fold waits for nothing and nobody, so it may be done in the transaction of what feeds it.
    `mapped`: the versions of the mappings that it works by, for its dead letters.
    """

    name: str
    inputs: tuple[Input, ...]
    tables: tuple[Table[Any], ...]
    fold: Fold
    bury: Bury
    source: Callable[[Pen], Awaitable[None]] | None = None
    ticks: bool = False
    at_once: bool = False
    mapped: Mapping[str, str] = field(default_factory=dict)

    @property
    def topics(self) -> tuple[str, ...]:
        """The names of the input topics."""
        return tuple(one.topic for one in self.inputs)

    @property
    def first(self) -> tuple[str, ...]:
        """The names of those that come first."""
        return tuple(one.topic for one in self.inputs if one.first)
