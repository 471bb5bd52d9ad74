"""Registers: what one record of one system says of each of its fields, and since which change; and what of it counts.

Promises: what a change said is kept together, so that its version, time and id stand there once however many fields it had;
newest first, so what was said is the same value in whatever order it came.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from isthmus.codecs.change import Value


class Register(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What one record of one system says of one field. `derived`: it says so because we wrote it."""

    value: Value
    version: str
    when: str
    change_id: str
    derived: bool


class Visible(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Why a golden value is what it is: the record it is taken from, and the rule. `own`: the register it was taken from,
    where that record says something else by now, or says nothing of this field of a group."""

    system: str
    native_id: str
    rule: str
    own: Register | None = None


class Said(msgspec.Struct, gc=False, array_like=True):
    """What a record said with one change: the fields of which it has said nothing newer since."""

    version: str
    when: str
    change_id: str
    derived: bool
    values: dict[str, Value]

    def register(self, name: str) -> Register:
        """The register of one of its fields."""
        return Register(self.values[name], self.version, self.when, self.change_id, self.derived)

    @property
    def order(self) -> tuple[str, str, str, bool]:
        """By this they are sorted, and it is no other's."""
        return (self.version, self.change_id, self.when, self.derived)


# With what a field was said once, and its value.
Once = tuple[Said, Value]


class Held(msgspec.Struct, gc=False, array_like=True):
    """All registers of one record, newest change first; of one that has left none, but what is still shown of it.
    `shown`: its fields that are golden values, each with which of `rules` it counts by; `own`: those of them that are not
    what the record says now (`Visible`)."""

    said: list[Said] = []
    rules: list[str] = []
    shown: dict[str, int] = {}
    own: dict[str, Register] | None = None

    def __bool__(self) -> bool:
        return bool(self.said)

    def get(self, name: str) -> Register | None:
        """A field's register; None where the record has said nothing of it."""
        for said in self.said:
            if name in said.values:
                return said.register(name)
        return None

    def items(self) -> Iterator[tuple[str, Register]]:
        """Every field with its register."""
        return ((name, said.register(name)) for said in self.said for name in said.values)

    def is_older(self, version: str) -> bool:
        """Is everything that was said older than this version?"""
        return not self.said or self.said[0].version < version
