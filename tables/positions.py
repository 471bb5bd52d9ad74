"""The positions table: how far each platform's change stream was read, as the platform's own opaque text."""

from __future__ import annotations

from isthmus.tables.unit import Table

POSITIONS: Table[str] = Table("positions", str)
