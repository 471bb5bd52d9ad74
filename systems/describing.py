"""What a platform says of its own fields, in one form for all: an adapter may tell it, beside the `System` protocol.

Promises: nothing is changed at the platform; a field that we may not see is not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

# `choice` has texts for its options, `option` whole numbers; `other` is what no mapping can carry as a plain value.
Kind = Literal[
    "string", "integer", "number", "money", "boolean", "date", "datetime", "option", "choice", "reference", "other"
]


@dataclass(frozen=True, slots=True)
class Described:
    """A field. `length` in characters, None where it has none; `options`: its values as the platform takes them, each with
    what people read, None where it is no choice; `closed`: no other value is taken; `made_by`: what computes it."""

    name: str
    kind: Kind
    writable: bool
    readable: bool = True
    length: int | None = None
    options: Mapping[str, str] | None = None
    closed: bool = True
    made_by: str = ""


@runtime_checkable
class Describes(Protocol):
    """An adapter that can tell what its platform's fields are."""

    async def describe(self, object: str) -> Mapping[str, Described]:
        """An object's fields by name. PlatformError where it is not there, or we may not see it."""
