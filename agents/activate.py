"""activate: puts a version of a mapping in force, at one place in the recorded input of each of merge's partitions.

Promises: an order counts once; merge hears of it by its own topic, so a replay of that topic decides as merge did.
"""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.agents.source import every_partition
from isthmus.codecs.activation import Activation
from isthmus.codecs.dead import dead_letter
from isthmus.codecs.frames import Elements
from isthmus.codecs.linked import Activate
from isthmus.tables.activations import ACTIVATIONS, History
from isthmus.tables.stage import Batch, Input, Stage
from isthmus.tables.unit import Unit

TOPIC = "activations"


def stage() -> Stage:
    """The stage over all entities."""
    return Stage("activate", (Input(TOPIC, Elements(Activation)),), (ACTIVATIONS,), _fold, _bury)


def _fold(unit: Unit, batches: Sequence[Batch]) -> None:
    for batch in batches:
        for order in batch.elements:
            activate(unit, order)


def activate(unit: Unit, order: Activation) -> None:
    """Note an order and tell every partition of merge."""
    key = order.entity.encode()
    history = (unit.get(ACTIVATIONS, key) or History()).after(order)
    if history is None:
        return
    unit.put(ACTIVATIONS, key, history)
    for seat in every_partition(unit.partitions):
        told = Activate(order.entity, order.version, order.document, order.at, order.id, seat.decode())
        unit.send("merge", seat, told)


def _bury(unit: Unit, raw: bytes, fault: Exception) -> None:
    unit.bury(dead_letter(fault, stage="activate", original=raw))
