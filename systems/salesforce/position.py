"""Where we are in an org's change channels, as the text that is stored.

Promises: the text names the transport, because a replay id of one means nothing to the other; a text that is no position
of ours, or one of the other transport, is ReplayLost and never passed over. A channel that a position does not know is
read from the oldest event that is kept: some changes may come twice, none is left out. The text also says how far we had
heard, of which org, which is what is left of a position that the org has forgotten.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from isthmus.codecs.change import Change
from isthmus.config.errors import ReplayLost

Transport = Literal["pubsub", "cometd"]

FROM_NOW_ON = "-1"
EVERYTHING = "-2"
OTHER_ORG = "OTHER_ORG"
HINT = "re-read every record, then start again from -2"


@dataclass(frozen=True, slots=True)
class Known:
    """What of an org was heard: when the newest change was committed (RFC 3339), and its version; empty: nothing yet."""

    org: str = ""
    at: str = ""
    version: str = ""

    def heard(self, changes: Iterable[Change]) -> Known:
        """The same with some more."""
        newest = max((one for one in changes if one.version), key=lambda one: one.version or "", default=None)
        if newest is None or (newest.version or "") <= self.version:
            return self
        return Known(self.org, newest.changed_at or self.at, newest.version or "")


@dataclass(frozen=True, slots=True)
class Position:
    """A replay id for each channel: a number for CometD, base64 for the Pub/Sub API; or one of the two words above."""

    transport: Transport
    places: Mapping[str, str]
    known: Known = Known()

    def after(self, channel: str, place: str) -> Position:
        """The position once a channel has been read up to here."""
        return replace(self, places={**self.places, channel: place})

    def of(self, org: str) -> Position:
        """The same, of this org; ReplayLost where it is of another one, whose records and versions are others."""
        if self.known.org and org and self.known.org != org:
            text = f"the org is {org}, its changes were followed in {self.known.org}"
            hint = "point the node at the org it knows, or give it a new namespace"
            raise ReplayLost(text, code=OTHER_ORG, hint=hint)
        return replace(self, known=replace(self.known, org=org or self.known.org))

    def __str__(self) -> str:
        said = {name: value for name in ("org", "at", "version") if (value := getattr(self.known, name))}
        return f"{self.transport}:{json.dumps({**self.places, **said}, separators=(',', ':'), sort_keys=True)}"


def position(told: str | None, transport: Transport, channels: Sequence[str]) -> Position:
    """What a stored text (None: from now on) means for these channels; ReplayLost where it means nothing."""
    if told in (None, FROM_NOW_ON, EVERYTHING):
        return Position(transport, dict.fromkeys(channels, told or FROM_NOW_ON))
    kind, _, text = _named(told, channels).partition(":")
    if kind != transport:
        raise _lost(told, kind, transport)
    places, known = _read(text)
    if not all(_is_place(place, transport) for place in places.values()):
        raise _lost(told, "", transport)
    return Position(transport, {channel: places.get(channel, EVERYTHING) for channel in channels}, known)


def everything(transport: Transport, channels: Iterable[str], known: Known) -> Position:
    """All that is kept, for one who had heard so much."""
    return Position(transport, dict.fromkeys(channels, EVERYTHING), known)


def known_of(told: str | None) -> Known:
    """What a stored text of whichever transport says was heard; nothing where it is no position of ours."""
    return _read((told or "").partition(":")[2])[1]


def _named(told: str, channels: Sequence[str]) -> str:
    """A bare number is a replay id of CometD's, from when there was one channel and one transport."""
    if told.isdecimal() and len(channels) == 1:
        return str(Position("cometd", {channels[0]: told}))
    return told


def _read(text: str) -> tuple[Mapping[str, str], Known]:
    """The places and what was heard; channels begin with a slash."""
    try:
        found = json.loads(text)
    except ValueError:
        return {"": ""}, Known()
    if not isinstance(found, dict):
        return {"": ""}, Known()
    said = {str(name): str(value) for name, value in found.items()}
    known = Known(*(said.pop(name, "") for name in ("org", "at", "version")))
    return said, known


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
