"""What travels on `changes.<system>`, `identify`, `links` and `rereads.<system>`: small frozen values and their wire form.

Promises: `from_wire(to_wire(x)) == x`; unknown keys are ignored, so neighbouring versions understand each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.codecs.change import Change


def native_key(system: str, record_id: str) -> bytes:
    """The key of a record's own frames and table rows."""
    return f"{system}:{record_id}".encode()


@dataclass(frozen=True, slots=True)
class Arrival:
    """A change on its way to intake. `whole`: it is a full read of the record, not a difference. `answers`: the change
    id of the gap that this read fills."""

    change: Change
    correlation: str
    whole: bool = False
    answers: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready."""
        wire: dict[str, Any] = {"change": self.change.to_wire(), "correlation": self.correlation}
        if self.whole:
            wire["whole"] = True
        if self.answers is not None:
            wire["answers"] = self.answers
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Arrival:
        """The arrival that `to_wire` wrote."""
        change = Change.from_wire(wire["change"])
        return cls(change, wire["correlation"], wire.get("whole", False), wire.get("answers"))


@dataclass(frozen=True, slots=True)
class Reread:
    """Ask for a record to be read: after a webhook's hint, a gap, or a write that met another version.

    `version` is what the read is at least as new as, for a platform whose reads carry none. `nonce` makes the answer a
    change of its own even where the record did not change.
    """

    object: str
    record_id: str
    correlation: str
    version: str | None = None
    answers: str | None = None
    nonce: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Reread:
        """The request that `to_wire` wrote."""
        return cls(**{name: wire.get(name) for name in cls.__slots__})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Link:
    """This native record is that golden record."""

    system: str
    native_id: str
    entity: str
    canonical: str

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Link:
        """The link that `to_wire` wrote."""
        return cls(**{name: wire[name] for name in cls.__slots__})
