"""A reference as a record tells it: at which record of its own system it points, and whether anybody knows that one.

Promises: it survives its JSON; only records of entities with a quality rule of the kind `reference` have any.
"""

from __future__ import annotations

import msgspec


class Pointer(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A field of a record points at `target`, by that version. `known`: that is a record of the right entity whose golden
    record is known; None: nobody has answered yet."""

    system: str
    native_id: str
    field: str
    target: str
    version: str
    when: str
    change_id: str
    known: bool | None = None

    @property
    def place(self) -> tuple[str, str, str]:
        """Of which field of which record it is."""
        return self.system, self.native_id, self.field

    @property
    def order(self) -> tuple[str, str]:
        """What was said later sorts later."""
        return self.version, self.change_id
