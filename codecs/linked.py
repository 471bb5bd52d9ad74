"""What merge takes in: changes under canonical names, and deliver's reports of what a write came to.

Promises: `item_from_wire` gives back what `to_wire` was asked to write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from isthmus.codecs.change import Operation, Value


@dataclass(frozen=True, slots=True)
class Linked:
    """A change whose record is known to be a golden record. `tagged`: whether the platform says that we made it,
    None where it does not tell; `row`: it is a full read, not a difference."""

    system: str
    native_id: str
    entity: str
    canonical: str
    operation: Operation
    fields: Mapping[str, Value]
    cleared: tuple[str, ...]
    version: str
    changed_at: str
    change_id: str
    correlation: str
    tagged: bool | None = None
    row: bool = False

    def at(self, canonical: str) -> Linked:
        """The same change, of that golden record."""
        return replace(self, canonical=canonical)

    def values(self) -> dict[str, Value]:
        """Every field the change speaks of; None where it was cleared."""
        return {**dict.fromkeys(self.cleared), **self.fields}

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Linked:
        """What `to_wire` wrote."""
        known = {name: wire[name] for name in cls.__slots__}
        return cls(**{**known, "cleared": tuple(known["cleared"])})


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the write of revision `rev`: `fields` are the values it carried, `version` the record's new one."""

    system: str
    native_id: str
    canonical: str
    entity: str
    rev: int
    outcome: Literal["written", "refused"]
    version: str | None
    fields: Mapping[str, Value]

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Report:
        """What `to_wire` wrote."""
        return cls(**{name: wire[name] for name in cls.__slots__})


def item_from_wire(wire: Mapping[str, Any]) -> Linked | Report:
    """A change or a report."""
    return Linked.from_wire(wire) if "change_id" in wire else Report.from_wire(wire)
