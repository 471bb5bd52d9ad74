"""Frames: one Kafka message that carries many elements of one partition, numbered by the partition they came from.

Promises: `split` never builds a frame over the limit unless a single element is over it, and never reorders; `decode`
gives back the elements `split` was given. A record without our headers has no number: its Kafka offset serves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from isthmus.config.errors import DecodeError

FRAME_BYTES = 512 * 1024
ORIGIN, NUMBER = "origin", "number"


@dataclass(frozen=True, slots=True)
class Stamp:
    """Where a frame came from: the partition of the stage that wrote it, and its number there, from 0 without holes."""

    origin: str
    number: int

    def headers(self) -> list[tuple[str, bytes]]:
        """The stamp as Kafka headers."""
        return [(ORIGIN, self.origin.encode()), (NUMBER, str(self.number).encode())]


def stamp_of(headers: Iterable[tuple[str, bytes]] | None) -> Stamp | None:
    """The stamp in a record's headers; None for a record that no stage wrote."""
    found = dict(headers or ())
    if ORIGIN not in found or NUMBER not in found:
        return None
    return Stamp(found[ORIGIN].decode(), int(found[NUMBER]))


def split(elements: Iterable[bytes], limit: int = FRAME_BYTES) -> Iterator[bytes]:
    """JSON arrays of at most `limit` bytes that hold these encoded elements in order."""
    held: list[bytes] = []
    size = 2
    for element in elements:
        if held and size + len(element) + 1 > limit:
            yield join(held)
            held, size = [], 2
        held.append(element)
        size += len(element) + 1
    if held:
        yield join(held)


def join(elements: Sequence[bytes]) -> bytes:
    """One JSON array of encoded elements."""
    return b"[" + b",".join(elements) + b"]"


def decode(value: bytes, place: str) -> list[Any]:
    """The elements of a frame; DecodeError names `place` where the bytes are not a JSON array."""
    try:
        elements = orjson.loads(value)
    except orjson.JSONDecodeError as fault:
        raise DecodeError(str(fault), place=place) from fault
    if not isinstance(elements, list):
        raise DecodeError("a frame is a JSON array", place=place)
    return elements
