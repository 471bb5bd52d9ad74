"""The golden record as a value: what each system said, what counts and why, what each system was told.

Promises: `from_wire` gives back what `to_wire` wrote; the rules that change it are in tables/fold.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.codecs.change import Value
from isthmus.tables.intents import Intents
from isthmus.tables.precedence import Register


@dataclass(frozen=True, slots=True)
class Visible:
    """A golden value and why it is that."""

    value: Value
    system: str
    native_id: str
    change_id: str
    when: str
    rule: str


@dataclass(frozen=True, slots=True)
class Liveness:
    """Does a native record still exist, and as of which of its versions?"""

    alive: bool
    version: str


@dataclass(frozen=True, slots=True)
class DesiredWrite:
    """A wish: bring a system's record to these canonical values (None clears). `native_id` None: it has none yet."""

    system: str
    canonical: str
    entity: str
    revision: int
    native_id: str | None
    fields: Mapping[str, Value]
    known_version: str | None
    correlation: str

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> DesiredWrite:
        """What `to_wire` wrote."""
        return cls(**{name: wire[name] for name in cls.__slots__})


@dataclass(slots=True)
class Golden:
    """One canonical record. `registers` and `links` are by system, then native id; `intents` by system, then field."""

    canonical: str
    entity: str
    revision: int = 0
    registers: dict[str, dict[str, dict[str, Register]]] = field(default_factory=dict)
    living: dict[str, dict[str, Liveness]] = field(default_factory=dict)
    visible: dict[str, Visible] = field(default_factory=dict)
    intents: dict[str, Intents] = field(default_factory=dict)

    @property
    def links(self) -> dict[str, dict[str, bool]]:
        """Per system, its records and whether each still exists."""
        return {system: {n: known.alive for n, known in natives.items()} for system, natives in self.living.items()}

    def primary(self, system: str) -> str | None:
        """The record of a system that is kept equal to the golden one: of the living, the first known."""
        return next((n for n, known in self.living.get(system, {}).items() if known.alive), None)

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready, compact."""
        return {
            "canonical": self.canonical,
            "entity": self.entity,
            "revision": self.revision,
            "registers": {
                s: {n: {f: r.to_wire() for f, r in held.items()} for n, held in natives.items()}
                for s, natives in self.registers.items()
            },
            "living": {s: {n: [k.alive, k.version] for n, k in natives.items()} for s, natives in self.living.items()},
            "visible": {
                f: [v.value, v.system, v.native_id, v.change_id, v.when, v.rule] for f, v in self.visible.items()
            },
            "intents": self.intents,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Golden:
        """What `to_wire` wrote."""
        return cls(
            wire["canonical"],
            wire["entity"],
            wire["revision"],
            {
                s: {n: {f: Register(*r) for f, r in held.items()} for n, held in natives.items()}
                for s, natives in wire["registers"].items()
            },
            {s: {n: Liveness(*k) for n, k in natives.items()} for s, natives in wire["living"].items()},
            {f: Visible(*v) for f, v in wire["visible"].items()},
            wire["intents"],
        )
