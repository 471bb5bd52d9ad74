"""The dedup table: per native record, the change ids seen lately and the gaps that wait for a re-read.

Promises: a change id is recognised while it is among the record's last `KEPT`; an older change is not a repeat only for
being older, because it may carry a field that the newer one lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KEPT = 64


@dataclass(frozen=True, slots=True)
class Recent:
    """`ids` oldest first; `gaps` are the change ids of gaps not yet filled."""

    ids: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()

    def seen(self, change_id: str) -> bool:
        """Was this change here before?"""
        return change_id in self.ids

    def remember(self, change_id: str) -> Recent:
        """With this change noted, the oldest forgotten."""
        return Recent((*self.ids, change_id)[-KEPT:], self.gaps)

    def open_gap(self, change_id: str) -> Recent:
        """With a gap that waits for its re-read."""
        return Recent(self.ids, (*self.gaps, change_id))

    def fill_gap(self, change_id: str) -> Recent:
        """With that gap filled."""
        return Recent(self.ids, tuple(gap for gap in self.gaps if gap != change_id))

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"ids": self.ids, "gaps": self.gaps}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any] | None) -> Recent:
        """What `to_wire` wrote; an empty one for None."""
        return cls() if wire is None else cls(tuple(wire["ids"]), tuple(wire["gaps"]))
