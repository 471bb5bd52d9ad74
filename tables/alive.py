"""Alive: which records of a golden one still exist.

Promises: pure; it stands apart from the structs, which are not compiled.
"""

from __future__ import annotations

from isthmus.tables.liveness import Liveness

# By system, then native id.
Living = dict[str, dict[str, Liveness]]


def links(living: Living) -> dict[str, dict[str, bool]]:
    """Per system, its records and whether each still exists."""
    return {system: {native: known.alive for native, known in natives.items()} for system, natives in living.items()}


def primary(living: Living, system: str) -> str | None:
    """The record of a system that is kept equal to the golden one: of the living, the first known."""
    natives = living.get(system)
    if natives:
        for native_id, known in natives.items():
            if known.alive:
                return native_id
    return None


def alive(living: Living) -> frozenset[tuple[str, str]]:
    """The records that still exist, each with its system."""
    return frozenset([(s, n) for s, natives in living.items() for n, known in natives.items() if known.alive])


def unread(left: str, version: str) -> str:
    """The version in which our own write left a record, where nothing as new was told of it; empty otherwise."""
    return left if left > version else ""
