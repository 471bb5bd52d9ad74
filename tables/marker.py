"""The marker: how far a stage's partition has come, written in the same transaction as what it did.

Promises: it alone decides where work resumes. Per input topic it holds the last offset and, per origin, the last frame
number; per output partition the next number to give; and the ledger's counts of everything this partition decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import orjson

from isthmus.codecs.frames import Stamp

MARKER_KEY = b"\xff\xffmarker"
Counts = dict[str, dict[str, int]]


class Verdict(Enum):
    """What an arriving record is to this partition."""

    NEXT = "next"
    REPEAT = "repeat"
    HOLE = "hole"


@dataclass(slots=True)
class Input:
    """One input topic: the offset of the last record done, and the last number of each origin."""

    offset: int = -1
    origins: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Marker:
    """`counts` maps "system/entity" to outcome to count; a move between outcomes may count down."""

    inputs: dict[str, Input] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    counts: Counts = field(default_factory=dict)

    def judge(self, topic: str, offset: int, stamp: Stamp | None) -> Verdict:
        """Is this record the next one, a repeat, or proof that something before it is missing?"""
        known = self.inputs.get(topic) or Input()
        number, last = (offset, known.offset) if stamp is None else (stamp.number, known.origins.get(stamp.origin, -1))
        if number <= last:
            return Verdict.REPEAT
        return Verdict.NEXT if number == last + 1 else Verdict.HOLE

    def done(self, topic: str, offset: int, stamp: Stamp | None) -> None:
        """Note a record as done."""
        known = self.inputs.setdefault(topic, Input())
        known.offset = max(known.offset, offset)
        if stamp is not None:
            known.origins[stamp.origin] = stamp.number

    def next_number(self, topic: str, partition: int) -> int:
        """The number for the next frame to this partition; each call gives the next."""
        target = f"{topic}/{partition}"
        number = self.outputs.get(target, 0)
        self.outputs[target] = number + 1
        return number

    def count(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Add to the ledger."""
        for subject, outcomes in counts.items():
            held = self.counts.setdefault(subject, {})
            for outcome, number in outcomes.items():
                held[outcome] = held.get(outcome, 0) + number

    def dump(self) -> bytes:
        """The marker as JSON bytes."""
        inputs = {topic: [known.offset, known.origins] for topic, known in self.inputs.items()}
        return orjson.dumps({"inputs": inputs, "outputs": self.outputs, "counts": self.counts})

    @classmethod
    def load(cls, raw: bytes | None) -> Marker:
        """The marker that `dump` wrote; a fresh one for None."""
        if raw is None:
            return cls()
        held: dict[str, Any] = orjson.loads(raw)
        inputs = {topic: Input(offset, origins) for topic, (offset, origins) in held["inputs"].items()}
        return cls(inputs, held["outputs"], held["counts"])
