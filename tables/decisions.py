"""The decisions table: which orders of stewards about a golden record were heard, so that none counts twice."""

from __future__ import annotations

import msgspec

from isthmus.tables.unit import Table

KEPT = 50


class Heard(msgspec.Struct, frozen=True, gc=False):
    """The newest orders, the newest last."""

    orders: tuple[str, ...] = ()

    def after(self, order: str) -> Heard | None:
        """With one more; None where it was heard before."""
        return None if order in self.orders else Heard((*self.orders, order)[-KEPT:])


DECISIONS: Table[Heard] = Table("decisions", Heard)
