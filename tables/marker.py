"""The marker: how far a stage's partition has come, written in the same transaction as what it did.

Promises: it alone decides where work resumes. Per input topic it holds the last offset and, per origin, the last frame's
number and offset; per output partition the next number to give; and the ledger's counts of everything this partition
decided. A frame may be done before its offset is known (node/following.py): numbers decide, offsets only say where to
begin to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

import orjson

from isthmus.codecs.frames import Stamp, encode

MARKER_KEY = b"\xff\xffmarker"
Counts = dict[str, dict[str, int]]


class Verdict(Enum):
    """What an arriving record is to this partition."""

    NEXT = "next"
    REPEAT = "repeat"
    HOLE = "hole"


class Origin(NamedTuple):
    """The last frame done of an origin: its number, and an offset before which none of its frames is left to do."""

    number: int = -1
    offset: int = -1


@dataclass(slots=True)
class Input:
    """One input topic: the offset of the last record done, and the last frame of each origin."""

    offset: int = -1
    origins: dict[str, Origin] = field(default_factory=dict)


@dataclass(slots=True)
class Marker:
    """`counts` maps "system/entity" to outcome to count; a move between outcomes may count down."""

    inputs: dict[str, Input] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    counts: Counts = field(default_factory=dict)

    def judge(self, topic: str, offset: int, stamp: Stamp | None) -> Verdict:
        """Is this record the next one, a repeat, or proof that something before it is missing?"""
        known = self.inputs.get(topic) or Input()
        if stamp is None:
            number, last = offset, known.offset
        else:
            number, last = stamp.number, known.origins.get(stamp.origin, Origin()).number
        if number <= last:
            return Verdict.REPEAT
        return Verdict.NEXT if number == last + 1 else Verdict.HOLE

    def done(self, topic: str, offset: int, stamp: Stamp | None) -> None:
        """Note a record as done."""
        known = self.inputs.setdefault(topic, Input())
        known.offset = max(known.offset, offset)
        if stamp is not None:
            known.origins[stamp.origin] = Origin(stamp.number, offset)

    def turn(self, topic: str) -> int:
        """How many numbered frames of a topic are done."""
        known = self.inputs.get(topic) or Input()
        return sum(last.number + 1 for last in known.origins.values())

    def foreseen(self, topic: str, stamp: Stamp) -> None:
        """Note a frame as done whose offset is not known yet."""
        origins = self.inputs.setdefault(topic, Input()).origins
        origins[stamp.origin] = Origin(stamp.number, origins.get(stamp.origin, Origin()).offset)

    def passed(self, topic: str, offset: int, stamp: Stamp) -> bool:
        """Learn the offset of a frame that is done already; was there anything to learn?"""
        known = self.inputs[topic]
        if offset <= known.offset:
            return False
        known.offset = offset
        known.origins[stamp.origin] = Origin(known.origins[stamp.origin].number, offset)
        return True

    def resume_at(self, topic: str) -> int | None:
        """The offset after the last record done of a topic; None where nothing was done yet."""
        known = self.inputs.get(topic)
        return None if known is None else known.offset + 1

    def missing_from(self, topic: str, stamp: Stamp | None) -> int:
        """The offset from which to read a topic again when this record proved that one before it is missing."""
        if stamp is None:
            return self.resume_at(topic) or 0
        known = self.inputs.get(topic) or Input()
        return known.origins.get(stamp.origin, Origin()).offset + 1

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
        return encode({"inputs": inputs, "outputs": self.outputs, "counts": self.counts})

    @classmethod
    def load(cls, raw: bytes | None) -> Marker:
        """The marker that `dump` wrote; a fresh one for None."""
        if raw is None:
            return cls()
        held: dict[str, Any] = orjson.loads(raw)
        inputs = {
            topic: Input(offset, {origin: Origin(*last) for origin, last in origins.items()})
            for topic, (offset, origins) in held["inputs"].items()
        }
        return cls(inputs, held["outputs"], held["counts"])
