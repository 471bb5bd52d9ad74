"""What merge's own work costs in memory: no Kafka and no RocksDB, so that nothing else is measured, and profiled, with it.

The stage works on the changes of `changes.py` as intake hands them on, in frames; the second half of them is counted, in
turns with the floor's work on the same changes (`work.py`, with its JSON in and out). Ends with one JSON line: CPU
microseconds a change, medians of the rounds, and the bytes of a state and of an event. `digest` is that of every event and
of what the states hold: it stays the same where a change of the code was to change nothing. `compiled` says which form was
measured: the checkout's, or with PYTHONPATH=../.compiled what users run (`make compiled`).
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import orjson
from changes import Pair, changes
from work import apply, empty

from isthmus.agents import merge
from isthmus.agents.intake import canonical_change
from isthmus.codecs.arrival import Arrival
from isthmus.codecs.frames import encode
from isthmus.config.mapping import Mappings, load_mappings
from isthmus.node.form import COMPILED, form
from isthmus.node.reading import golden_view
from isthmus.node.worker import calm_the_collector
from isthmus.tables.golden import GOLDEN
from isthmus.tables.newest import Newest
from isthmus.tables.stage import Batch
from isthmus.tables.unit import Unit, View

PER_FRAME = 250
Store = dict[bytes, bytes]


@dataclass
class Spent:
    """CPU seconds by what they were spent on."""

    seconds: dict[str, float] = field(default_factory=dict)
    at: float = field(default_factory=time.process_time)

    def note(self, what: str) -> None:
        """All since the last note was spent on this."""
        now = time.process_time()
        self.seconds[what] = self.seconds.get(what, 0.0) + now - self.at
        self.at = time.process_time()


class Stored:
    """A table in memory."""

    def __init__(self) -> None:
        self.values: Store = {}

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        return self.values.get(key)

    def scan(self, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Nothing here asks for it."""
        return iter(())


@dataclass
class Merge:
    """The stage over frames, as a lane gives it them, its newest values kept at hand."""

    mappings: Mappings
    states: Stored = field(default_factory=Stored)
    spent: Spent = field(default_factory=Spent)
    events: int = 0
    event_bytes: int = 0

    def __post_init__(self) -> None:
        self.digest = hashlib.sha256()
        self._stage = merge.stage(self.mappings)
        self._known = {table.name: Newest(8192) for table in self._stage.tables}

    def work(self, frame: bytes) -> None:
        """One unit of work."""
        self.spent.at = time.process_time()
        views: dict[str, View] = {
            table.name: self.states if table is GOLDEN else Stored() for table in self._stage.tables
        }
        unit = Unit(views, 4, self._known)
        elements = self._stage.inputs[0].elements
        assert elements is not None
        items = elements.decode(frame, "here")
        self.spent.note("decode")
        self._stage.fold(unit, [Batch("merge", items)])
        self.spent.note("fold")
        puts = unit.encoded().get(GOLDEN.name, {})
        self.spent.note("encode")
        self.states.values.update({key: value for key, value in puts.items() if value is not None})
        self._known[GOLDEN.name].keep(puts)
        for record in unit.records:  # not kept: that costs memory, and memory costs time
            self.digest.update(record.value)
            self.events, self.event_bytes = self.events + 1, self.event_bytes + len(record.value)


@dataclass
class Floor:
    """The floor's own work on the same changes."""

    states: Store = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)

    def work(self, pairs: Sequence[Pair]) -> None:
        """As many changes as a frame has, JSON in and out."""
        self.spent.at = time.process_time()
        for key, value in pairs:
            held = self.states.get(key)
            state = orjson.loads(held) if held else empty()
            event = apply(state, key.decode(), orjson.loads(value))
            if event is not None:
                self.states[key] = orjson.dumps(state)
                orjson.dumps(event)
        self.spent.note("floor")


def frames(pairs: Sequence[Pair], mappings: Mappings) -> list[bytes]:
    """The changes as intake sends them to merge."""
    account = mappings.entities["account"]
    arrivals = [msgspec.json.decode(value, type=Arrival) for _, value in pairs]
    items = [canonical_change(one, account, f"c-{one.change.record_id}") for one in arrivals]
    return [encode(items[at : at + PER_FRAME]) for at in range(0, len(items), PER_FRAME)]


def measured(pairs: Sequence[Pair], made: Sequence[bytes], mappings: Mappings) -> tuple[dict[str, float], Merge]:
    """One round: microseconds a change, and the stage with what it holds."""
    stage, floor = Merge(mappings), Floor()
    gc.collect()
    for number, frame in enumerate(made):
        if number == len(made) // 2:
            stage.spent, floor.spent = Spent(), Spent()
        stage.work(frame)
        floor.work(pairs[number * PER_FRAME : (number + 1) * PER_FRAME])
    counted = len(pairs) - len(made) // 2 * PER_FRAME
    seconds = stage.spent.seconds | {"merge": sum(stage.spent.seconds.values())} | floor.spent.seconds
    return {what: spent / counted * 1e6 for what, spent in seconds.items()}, stage


def told(stage: Merge) -> dict[str, object]:
    """What the stage ended with."""
    states, digest = stage.states.values.values(), stage.digest
    for state in states:
        digest.update(golden_view(GOLDEN.decode(state)).model_dump_json().encode())
    return {
        "compiled": form() == COMPILED,
        "state_bytes": round(statistics.mean(map(len, states))),
        "event_bytes": round(stage.event_bytes / stage.events),
        "digest": digest.hexdigest()[:16],
    }


def main() -> None:
    """`python bench/fold.py [--total N] [--records R] [--rounds N] [--systems salesforce ...]`"""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("total", 10_000), ("records", 1_000), ("rounds", 4)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--systems", nargs="+", default=["salesforce"])
    chosen = parser.parse_args()
    mappings = load_mappings().joining(chosen.systems)
    pairs = list(changes(chosen.total, chosen.records))
    made = frames(pairs, mappings)
    calm_the_collector()
    rounds = [measured(pairs, made, mappings) for _ in range(chosen.rounds)]
    figures = {what: round(statistics.median(one[what] for one, _ in rounds), 1) for what in rounds[0][0]}
    print(json.dumps(figures | told(rounds[-1][1])), flush=True)


if __name__ == "__main__":
    main()
