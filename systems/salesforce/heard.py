"""What either transport heard, to deliveries with the position after each.

Promises: events keep their order; no position falls between events that share a replay id, because a replay id goes on
after all of them (salesforce.md §1.13). Only custom channels tell one replay id more than once, and there the rest may
come with the next answer: the position passes such an event when something else has followed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from isthmus.codecs.change import Change
from isthmus.config.errors import DecodeError
from isthmus.systems.protocol import Delivery
from isthmus.systems.salesforce.position import Position

CUSTOM = "__chn"


@dataclass(frozen=True, slots=True)
class Heard:
    """An event of a channel, with its replay id where it told one; without `raw`, only how far the channel was read."""

    channel: str
    place: str | None
    raw: bytes = b""
    changes: tuple[Change, ...] = ()
    error: DecodeError | None = None


def deliveries(heard: Sequence[Heard], at: Position) -> Iterator[tuple[Delivery, Position]]:
    """An answer's events as deliveries. An event without a replay id keeps the position before it."""
    for one, is_done in zip(heard, _done(heard), strict=True):
        if one.place is not None and is_done:
            at = replace(at.after(one.channel, one.place), known=at.known.heard(one.changes))
        yield Delivery(one.changes, str(at), one.raw, one.error), at


def _done(heard: Sequence[Heard]) -> list[bool]:
    """Is each the last of its replay id, as far as one can know?"""
    following: dict[str, str | None] = {}
    done: list[bool] = []
    for one in reversed(heard):
        if one.channel in following:
            done.append(following[one.channel] != one.place)
        else:
            done.append(not one.raw or not one.channel.endswith(CUSTOM))
        following[one.channel] = one.place
    return done[::-1]
