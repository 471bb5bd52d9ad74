"""The activations tables: which mapping of an entity is in force, and which were before it, by whom and why.

Promises: an order counts once; the newest `KEPT` stay, so that each of them can be put in force again.
"""

from __future__ import annotations

import msgspec

from isthmus.codecs.activation import Activation
from isthmus.tables.unit import Table

KEPT = 50


class History(msgspec.Struct, frozen=True, gc=False):
    """The activations of an entity, the newest last."""

    orders: tuple[Activation, ...] = ()

    def after(self, order: Activation) -> History | None:
        """With one more; None where it was heard before."""
        if any(known.id == order.id for known in self.orders):
            return None
        return History((*self.orders, order)[-KEPT:])


class InForce(msgspec.Struct, frozen=True, gc=False):
    """The mapping by which a partition of merge decides about an entity."""

    version: str
    document: str
    at: str


ACTIVATIONS: Table[History] = Table("activations", History)
IN_FORCE: Table[InForce] = Table("mappings", InForce)
