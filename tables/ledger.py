"""The ledger: what became of every change that was accepted, summed over the markers of all stage partitions.

Promises: per source `received = applied + unchanged + echo + parked + dead + in_flight`, per target
`intended = written + unchanged + superseded + parked + dead + in_flight`; `in_flight` is zero when no frame is under way.
Both sides are counted apart (outcomes where they were decided, frames by their numbers), so a lost or invented change or
write shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.tables.marker import Marker

OUTCOMES = ("applied", "unchanged", "echo", "parked", "dead")
DELIVERY = "delivery_"
# What becomes of a write; whatever else is counted of deliveries (retries, conflicts) is beside the books.
DELIVERED = ("written", "unchanged", "superseded", "parked", "dead")


@dataclass(slots=True)
class Tally:
    """What one worker knows: counts per subject, frames sent and done per way, and which lanes it speaks for."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    lanes: list[str] = field(default_factory=list)

    def add(self, lane: str, partition: int, marker: Marker) -> None:
        """Count a lane in."""
        self.lanes.append(lane)
        _sum(self.counts, marker.counts)
        for target, number in marker.outputs.items():
            self.sent[f"{lane}>{target}"] = number
        for topic, known in marker.inputs.items():
            for origin, last in known.origins.items():
                self.done[f"{origin}>{topic}/{partition}"] = last.number + 1

    def join(self, other: Mapping[str, Any]) -> None:
        """Count another worker's tally in (its JSON form)."""
        _sum(self.counts, other["counts"])
        self.sent.update(other["sent"])
        self.done.update(other["done"])
        self.lanes.extend(other["lanes"])


@dataclass(frozen=True, slots=True)
class Ledger:
    """The books. `complete`: all lanes are in. `frames`: frames under way. `balanced`: nothing lost, nothing invented."""

    subjects: dict[str, dict[str, int]]
    totals: dict[str, int]
    deliveries: dict[str, dict[str, int]]
    frames: int
    complete: bool
    balanced: bool


def balance(tally: Tally, expected_lanes: Iterable[str]) -> Ledger:
    """Draw up the books."""
    subjects = {subject: _line(counts) for subject, counts in sorted(tally.counts.items()) if "received" in counts}
    totals = {name: sum(line[name] for line in subjects.values()) for name in ("received", *OUTCOMES, "in_flight")}
    frames = sum(number - tally.done.get(way, 0) for way, number in tally.sent.items())
    complete = set(expected_lanes) <= set(tally.lanes)
    deliveries = _deliveries(tally)
    # Books of before intents were counted have none, and nothing to hold their outcomes against.
    flying = [line["in_flight"] for line in (*subjects.values(), *deliveries.values()) if "in_flight" in line]
    even = all(number == 0 for number in flying) if frames == 0 else all(number >= 0 for number in flying)
    return Ledger(subjects, totals, deliveries, frames, complete, complete and even)


def _line(counts: Mapping[str, int]) -> dict[str, int]:
    line = {name: counts.get(name, 0) for name in ("received", *OUTCOMES)}
    line["reread"] = counts.get("reread", 0)
    line["in_flight"] = line["received"] - sum(line[name] for name in OUTCOMES)
    return line


def _deliveries(tally: Tally) -> dict[str, dict[str, int]]:
    found = {
        subject: {name.removeprefix(DELIVERY): n for name, n in counts.items() if name.startswith(DELIVERY)}
        for subject, counts in sorted(tally.counts.items())
    }
    return {subject: _written(counts) for subject, counts in found.items() if counts}


def _written(counts: dict[str, int]) -> dict[str, int]:
    """A target's line, with what is under way where that is known."""
    if "intended" not in counts:
        return counts
    line = counts | {name: counts.get(name, 0) for name in ("intended", *DELIVERED)}
    return line | {"in_flight": line["intended"] - sum(line[name] for name in DELIVERED)}


def _sum(into: dict[str, dict[str, int]], counts: Mapping[str, Mapping[str, int]]) -> None:
    for subject, outcomes in counts.items():
        held = into.setdefault(subject, {})
        for outcome, number in outcomes.items():
            held[outcome] = held.get(outcome, 0) + number
