"""What intake's and identify's own work costs in memory: no Kafka and no RocksDB, so that nothing else is measured, and
profiled, with it.

Intake works on the changes of `changes.py` in frames, of records that nobody knows or (`--known`) that are linked; identify
on what intake sends of the former. The second half of them is counted. Ends with one JSON line: CPU microseconds a change,
medians of the rounds. `digest` is that of all that a stage sends, keeps and counts: it stays the same where a change of the
code was to change nothing.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import statistics
from collections.abc import Sequence
from typing import Any

import msgspec
from changes import changes, record_id
from fold import Spent, Stored

from isthmus.agents import identify, intake
from isthmus.codecs.arrival import Link
from isthmus.codecs.frames import encode
from isthmus.config.mapping import load_mappings
from isthmus.node.packing import Encoded, encoded
from isthmus.node.worker import calm_the_collector
from isthmus.tables.newest import Newest
from isthmus.tables.stage import Batch, Stage
from isthmus.tables.unit import Unit

PER_FRAME = 125
FRAME_BYTES = 512 * 1024


class Lane:
    """A stage over frames, as a lane gives it them, its newest values kept at hand."""

    def __init__(self, stage: Stage) -> None:
        self.spent = Spent()
        self.digest = hashlib.sha256()
        self._stage = stage
        self._views = {table.name: Stored() for table in stage.tables}
        self._known = {table.name: Newest(8192) for table in stage.tables}

    def work(self, topic: str, frame: bytes) -> Encoded:
        """One unit of work."""
        self.spent.note("between")
        unit = Unit(self._views, 4, self._known)
        elements = next(one.elements for one in self._stage.inputs if one.topic == topic)
        assert elements is not None
        items = elements.decode(frame, "here")
        self.spent.note("decode")
        self._stage.fold(unit, [Batch(topic, items)])
        self.spent.note("fold")
        parts = encoded(unit, FRAME_BYTES)
        self.spent.note("encode")
        self._remember(unit, parts)
        return parts

    def _remember(self, unit: Unit, parts: Encoded) -> None:
        for name, puts in parts.puts.items():
            self._views[name].values.update({key: value for key, value in puts.items() if value is not None})
            self._known[name].keep(unit.puts[name])
        records = [(one.topic, one.key, one.value, one.headers) for one in parts.records]
        told = (sorted(parts.frames.items()), records, unit.counts)
        self.digest.update(repr(told).encode())

    def told(self) -> str:
        """The digest of what was sent and counted, and of what is kept by now."""
        kept = [(name, sorted(view.values.items())) for name, view in sorted(self._views.items())]
        self.digest.update(repr(kept).encode())
        return self.digest.hexdigest()[:16]


def measured(lane: Lane, topic: str, frames: Sequence[bytes], count: int) -> dict[str, Any]:
    """Microseconds a change over the second half of the frames, and the digest of all."""
    gc.collect()
    for number, frame in enumerate(frames):
        if number == len(frames) // 2:
            lane.spent = Spent()
        lane.work(topic, frame)
    seconds = {what: spent for what, spent in lane.spent.seconds.items() if what != "between"}
    seconds["all"] = sum(seconds.values())
    return {what: spent / count * 2e6 for what, spent in seconds.items()} | {"digest": lane.told()}


def packed(pieces: Sequence[bytes]) -> list[bytes]:
    """Elements in frames."""
    return [b"[" + b",".join(pieces[at : at + PER_FRAME]) + b"]" for at in range(0, len(pieces), PER_FRAME)]


def sent(parts: Encoded, topic: str) -> list[bytes]:
    """The frames for a topic."""
    return [frame for (name, _), frames in parts.frames.items() if name == topic for frame in frames]


def main() -> None:
    """`python bench/early.py [--total N] [--records R] [--rounds N] [--known]`"""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("total", 40_000), ("records", 4_000), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--known", action="store_true")
    chosen = parser.parse_args()
    mappings = load_mappings().joining(["salesforce"])
    arrivals = packed([value for _, value in changes(chosen.total, chosen.records)])
    links = [Link("salesforce", record_id(at), "account", f"c-{at}", {}) for at in range(chosen.records)]
    calm_the_collector()
    rounds: dict[str, list[dict[str, Any]]] = {"intake": [], "identify": []}
    taking = Lane(intake.stage(["salesforce"], mappings, {}))
    unlinked = [one for frame in arrivals for one in sent(taking.work("changes.salesforce", frame), "identify")]
    elements = sum(len(msgspec.json.decode(frame)) for frame in unlinked)
    for _ in range(chosen.rounds):
        lane = Lane(intake.stage(["salesforce"], mappings, {}))
        if chosen.known:
            lane.work("links", encode(links))
        rounds["intake"].append(measured(lane, "changes.salesforce", arrivals, chosen.total))
        rounds["identify"].append(measured(Lane(identify.stage(mappings)), "identify", unlinked, elements))
    for stage, found in rounds.items():
        figures = {
            what: round(statistics.median(one[what] for one in found), 2) for what in found[0] if what != "digest"
        }
        print(json.dumps({"stage": stage} | figures | {"digest": found[0]["digest"]}), flush=True)


if __name__ == "__main__":
    main()
