"""Where we are in an org's change channels, as the text that is stored.

Promises: the text names the transport, because a replay id of one means nothing to the other; a text that is no position
of ours, or one of the other transport, is ReplayLost and never passed over. A channel that a position does not know is
read from the oldest event that is kept: some changes may come twice, none is left out.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from isthmus.config.errors import ReplayLost

Transport = Literal["pubsub", "cometd"]

FROM_NOW_ON = "-1"
EVERYTHING = "-2"
HINT = "re-read every record, then start again from -2"


@dataclass(frozen=True, slots=True)
class Position:
    """A replay id for each channel: a number for CometD, base64 for the Pub/Sub API; or one of the two words above."""

    transport: Transport
    places: Mapping[str, str]

    def after(self, channel: str, place: str) -> Position:
        """The position once a channel has been read up to here."""
        return replace(self, places={**self.places, channel: place})

    def __str__(self) -> str:
        return f"{self.transport}:{json.dumps(self.places, separators=(',', ':'), sort_keys=True)}"


def position(told: str | None, transport: Transport, channels: Sequence[str]) -> Position:
    """What a stored text (None: from now on) means for these channels; ReplayLost where it means nothing."""
    if told in (None, FROM_NOW_ON, EVERYTHING):
        return Position(transport, dict.fromkeys(channels, told or FROM_NOW_ON))
    kind, _, text = _named(told, channels).partition(":")
    if kind != transport:
        raise _lost(told, kind, transport)
    places = _places(text)
    if not all(_is_place(place, transport) for place in places.values()):
        raise _lost(told, "", transport)
    return Position(transport, {channel: places.get(channel, EVERYTHING) for channel in channels})


def _named(told: str, channels: Sequence[str]) -> str:
    """A bare number is a replay id of CometD's, from when there was one channel and one transport."""
    if told.isdecimal() and len(channels) == 1:
        return str(Position("cometd", {channels[0]: told}))
    return told


def _places(text: str) -> Mapping[str, str]:
    try:
        found = json.loads(text)
    except ValueError:
        return {"": ""}
    return {str(name): str(place) for name, place in found.items()} if isinstance(found, dict) else {"": ""}


def _is_place(place: str, transport: Transport) -> bool:
    if place in (FROM_NOW_ON, EVERYTHING):
        return True
    if transport == "cometd":
        return place.isascii() and place.isdecimal() and int(place) > 0
    try:
        return bool(base64.b64decode(place, validate=True))
    except (binascii.Error, ValueError):
        return False


def _lost(told: str, kind: str, transport: Transport) -> ReplayLost:
    if kind in ("pubsub", "cometd"):
        text = f"the stored position is one of {kind}, and salesforce.transport is {transport}"
        return ReplayLost(text, code="OTHER_TRANSPORT", hint=f"set salesforce.transport to {kind} again, or {HINT}")
    return ReplayLost(f"{told!r} is no position in a Salesforce change stream", hint=HINT)
