"""Following: what a unit of work sends to lanes of this worker is worked on at once, and goes along in its transaction.

Promises: a follower's work is a unit of work like any other, only earlier: by the numbers of its frames it is the next
one, it becomes durable and visible together with what caused it or not at all, and when Kafka brings the same frames they
are repeats. No cause is overtaken: a lane follows only where every frame that was committed for it before is done, which
only a worker that has every lane can know (node/runtime.py). Where anything is unusual nobody follows, and Kafka brings
the frames as ever. A frame that was followed says its turn, so that a replay can do a partition's frames in the order in
which they were done (codecs/frames.py, `in_turn`). A change takes one transaction instead of one a stage.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from isthmus.codecs.frames import Stamp, stamp_of
from isthmus.node.packing import Cargo, Encoded
from isthmus.tables.unit import Headers, Unit

if TYPE_CHECKING:
    from isthmus.node.lane import Lane

NOWHERE = -1  # the offset of a record that is not on Kafka yet


class Frame(NamedTuple):
    """A frame that is about to be written: its topic's full name, its number, its bytes, and its headers to be."""

    topic: str
    stamp: Stamp
    value: bytes
    headers: Headers


class Follower(NamedTuple):
    """A lane that follows, and its work; both are held until the transaction is through."""

    lane: Lane
    unit: Unit
    parts: Encoded


class Neighbours(NamedTuple):
    """The lanes of this worker that may follow a lane, in the one order in which all take hold of each other, each after
    all that may feed it; and all lanes that may ever follow any."""

    later: Sequence[Lane] = ()
    all: Sequence[Lane] = ()


def nobody(lane: Lane) -> Neighbours:
    """No lane follows."""
    return Neighbours()


@asynccontextmanager
async def following(cargo: Cargo, near: Neighbours) -> AsyncIterator[list[Follower]]:
    """Those of the lanes that can follow this cargo, which grows by what they do; held until the block ends. What is
    for the others they know to be coming."""
    async with AsyncExitStack() as held:
        followers: list[Follower] = []
        for lane in near.later:
            frames = list(_frames(cargo, lane))
            if not frames:
                continue
            await held.enter_async_context(lane.held())
            foreseen = await lane.foresee(frames)
            if foreseen is not None:
                cargo.add(foreseen.cargo)
                followers.append(Follower(lane, foreseen.unit, foreseen.parts))
        for lane in near.all:
            for frame in _frames(cargo, lane):
                lane.expect(frame.topic, frame.stamp)
        yield followers


def _frames(cargo: Cargo, lane: Lane) -> Iterable[Frame]:
    """The frames among these entries that are for this lane, an origin's in their order."""
    for topic in lane.topics:
        for _, value, headers in cargo.entries.get((topic, lane.partition), ()):
            stamp = stamp_of(headers)
            if stamp is not None and value is not None:
                yield Frame(topic, stamp, value, headers)


def brought(frames: Iterable[Frame], partition: int) -> list[Any]:
    """Frames as the events that Faust would bring."""
    return [
        SimpleNamespace(message=SimpleNamespace(topic=topic, partition=partition, offset=NOWHERE, value=value))
        for topic, _, value, _ in frames
    ]
