"""One thing that a platform needs for us: whether it is there, and making it (`isthmus provision`).

Promises: nothing is made unless told to; what is there is left as it is, save where making it anew is asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from isthmus.systems.protocol import Finding

Make = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that is needed. `make` makes it and says what it did; None: nothing can or need be done. With `ok` it is
    there, and `make` makes it anew all the same."""

    name: str
    message: str
    make: Make | None = None
    ok: bool = True
    hint: str = ""


async def met(need: Need, apply: bool) -> Finding:
    """Whether it is there; with `apply` it is made where it can be."""
    if need.make is None or (need.ok and not apply):
        return Finding(need.name, need.ok, need.message, need.hint)
    if not apply:
        return Finding(need.name, False, need.message, "isthmus provision --apply makes it")
    return Finding(need.name, True, await need.make())
