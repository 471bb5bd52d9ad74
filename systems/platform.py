"""A further platform: what a package of somebody else's declares so that a node can join it.

It is one object of the type below, named by the entry point `isthmus.platforms` of its package (docs/platforms.md). The
entry point's name is the platform's: in the settings (`platforms.<name>`), in the mappings (`systems: {<name>: …}`), in
topics and events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from isthmus.config.mapping import SystemMapping
from isthmus.systems.protocol import System

ENTRY_POINTS = "isthmus.platforms"

# How the versions of rows compare: reads have none; a later one sorts after; they are equal or not, and no more.
RowVersions = Literal["none", "ordered", "unordered"]


@dataclass(frozen=True, slots=True)
class Platform:
    """`build` makes the adapter of the platform's own settings and of the mappings by the objects' own names; nothing
    connects yet. It raises ValueError, pydantic's too, or ConfigError where the settings cannot work."""

    build: Callable[[Mapping[str, Any], Mapping[str, SystemMapping]], System]
    row_versions: RowVersions = "none"
