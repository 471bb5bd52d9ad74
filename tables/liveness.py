"""Liveness: does a native record still exist, and since which of its versions?

Promises: values alone; what follows from them is in tables/alive.py and tables/deletes.py.
"""

from __future__ import annotations

import msgspec


class Mark(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The version in which a record went or came back, when, and whether that was our own hand."""

    version: str
    when: str
    ours: bool = False


class Liveness(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Does a native record still exist, and as of which of the versions that its system told of? Its newest delete and
    undelete; `made`: by us. `left`: the version in which our own write left it, where nothing newer was told of it."""

    alive: bool
    version: str
    died: Mark | None = None
    undone: Mark | None = None
    made: bool = False
    left: str = ""

    @property
    def newest(self) -> str:
        """The newest version that is known of it, told or left."""
        return max(self.version, self.left)


def later(one: Mark | None, other: Mark | None) -> Mark | None:
    """The newer of two."""
    if one is None or other is None:
        return one or other
    return other if other.version > one.version else one
