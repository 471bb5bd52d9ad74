"""Frames: one Kafka message that carries many elements of one partition, numbered by the partition they came from.

Promises: `frames_of` never builds a frame over the limit unless a single element is over it, and never reorders;
`Elements.decode` gives back the elements that were framed, and what is no element of its type as `Broken`, alone. A
record without our headers has no number: its Kafka offset serves. `in_turn` gives a partition's frames in the order in
which they were done, which a replay needs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec

from isthmus.config.errors import DecodeError

FRAME_BYTES = 512 * 1024
AT_ONCE = 250  # elements that are encoded in one go
ORIGIN, NUMBER, TURN = "origin", "number", "turn"

# What msgspec raises of bytes that it cannot read: besides its own also of text that is no UTF-8 and of endless nesting.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

encode = msgspec.json.Encoder(decimal_format="string").encode


@dataclass(frozen=True, slots=True)
class Stamp:
    """Where a frame came from: the partition of the stage that wrote it, and its number there, from 0 without holes."""

    origin: str
    number: int

    def headers(self) -> list[tuple[str, bytes]]:
        """The stamp as Kafka headers."""
        return [(ORIGIN, self.origin.encode()), (NUMBER, str(self.number).encode())]


def stamp_of(headers: Iterable[tuple[str, bytes]] | None) -> Stamp | None:
    """The stamp in a record's headers; None for a record that no stage wrote, whatever its headers say."""
    found = dict(headers or ())
    try:
        origin, number = found[ORIGIN].decode(), found[NUMBER]
        return Stamp(origin, int(number)) if number.isdigit() else None
    except (KeyError, ValueError, AttributeError):
        return None


class Headed(Protocol):
    """A record with headers."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Names and values."""
        ...


R = TypeVar("R", bound=Headed)


def turn_of(headers: Iterable[tuple[str, bytes]] | None) -> int | None:
    """Which of its partition's numbered frames it was when it was done, from 0; None where Kafka's order says it."""
    value = dict(headers or ()).get(TURN)
    return None if value is None else int(value)


def in_turn(records: Iterable[R], turns: Container[int]) -> Iterator[R]:
    """A partition's records in the order in which they were done. A frame that was done before Kafka had it says its turn
    (`turns` holds all that are said); the others came in Kafka's order, and take the turns that are left."""
    turn, told, others = 0, dict[int, R](), deque[R]()
    for record in records:
        said = turn_of(record.headers)
        if said is None:
            others.append(record)
        else:
            told[said] = record
        while turn in told or (turn not in turns and others):
            one = told.pop(turn) if turn in told else others.popleft()
            turn += stamp_of(one.headers) is not None
            yield one
    yield from others


def frames_of(elements: Sequence[Any], limit: int = FRAME_BYTES) -> Iterator[bytes]:
    """JSON arrays of at most `limit` bytes that hold these elements in order; one that is larger stands alone."""
    return joined(arrays_of(elements, limit), limit)


def arrays_of(elements: Sequence[Any], limit: int = FRAME_BYTES) -> Iterator[bytes]:
    """The same, small ones not yet put together: so hardly an element is encoded twice."""
    for at in range(0, len(elements), AT_ONCE):
        yield from _halved(elements[at : at + AT_ONCE], limit)


def joined(arrays: Iterable[bytes], limit: int = FRAME_BYTES) -> Iterator[bytes]:
    """Arrays that are not empty, put together in order up to `limit` bytes; one that is larger stands alone."""
    held: list[bytes] = []
    size = 0
    for array in arrays:
        if held and size + len(array) > limit:
            yield _one(held)
            held, size = [], 0
        held.append(array)
        size += len(array) - 1  # of each two, two brackets become a comma
    if held:
        yield _one(held)


def _one(arrays: Sequence[bytes]) -> bytes:
    return arrays[0] if len(arrays) == 1 else b"[%b]" % b",".join([memoryview(array)[1:-1] for array in arrays])


def _halved(elements: Sequence[Any], limit: int) -> Iterator[bytes]:
    frame = encode(elements)
    if len(frame) <= limit or len(elements) <= 1:
        yield frame
        return
    middle = len(elements) // 2
    yield from _halved(elements[:middle], limit)
    yield from _halved(elements[middle:], limit)


@dataclass(frozen=True, slots=True)
class Broken:
    """An element that is not what its topic promises: its bytes, and why."""

    raw: bytes
    fault: DecodeError


class Elements:
    """The elements of a topic, all of one type (or a union of types), checked while they are decoded."""

    def __init__(self, type_: Any) -> None:
        self._all = msgspec.json.Decoder(list[type_])
        self._one = msgspec.json.Decoder(type_)

    def decode(self, value: bytes, place: str) -> list[Any]:
        """The elements of a frame, `Broken` where one is not of the type; DecodeError where the frame is no array."""
        try:
            return self._all.decode(value)
        except UNREADABLE:
            return [self._apart(raw, f"{place}[{at}]") for at, raw in enumerate(_pieces(value, place))]

    def _apart(self, raw: bytes, place: str) -> Any:
        try:
            return self._one.decode(raw)
        except UNREADABLE as fault:
            return Broken(raw, DecodeError(str(fault), place=place))


def _pieces(value: bytes, place: str) -> list[bytes]:
    try:
        return [bytes(piece) for piece in msgspec.json.decode(value, type=list[msgspec.Raw])]
    except UNREADABLE as fault:
        raise DecodeError(f"a frame is a JSON array: {fault}", place=place) from fault
