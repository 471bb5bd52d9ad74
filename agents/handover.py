"""handover: a golden record that turned out to be another one hands over, and forwards whatever still arrives for it.

Promises: everything that arrives at a loser goes on to its winner behind what it handed over, so nothing is lost and no
echo is taken for news; intake is told where the loser's records belong now.
"""

from __future__ import annotations

from isthmus.codecs.arrival import Link, native_key
from isthmus.codecs.cloud_events import to_kafka
from isthmus.codecs.linked import Absorb, Folding, Leaving, Linked, Part, Yield
from isthmus.config.mapping import EntityMapping
from isthmus.tables.folded import Folded
from isthmus.tables.golden import GOLDEN, Golden
from isthmus.tables.handover import forwarded, hand_over
from isthmus.tables.parting import part
from isthmus.tables.unit import Record, Unit


def forward(unit: Unit, golden: Golden, item: Folding | Leaving) -> None:
    """Send an item on that arrived at a loser."""
    if isinstance(item, Yield):
        return
    onward = forwarded(golden, item)
    unit.send("merge", onward.canonical.encode(), onward)
    if isinstance(onward, Linked):
        _tell(unit, onward.system, onward.native_id, onward.entity, onward.canonical)
    elif isinstance(onward, Absorb):
        _tell_all(unit, GOLDEN.decode(bytes(onward.state)), onward.canonical)


def give_way(unit: Unit, golden: Golden | None, order: Yield, mapping: EntityMapping) -> None:
    """Hand a golden record over to the one that it turned out to be."""
    handed = hand_over(golden, order, mapping)
    if handed is None:
        return
    unit.put(GOLDEN, order.canonical.encode(), handed.state)
    if handed.absorb is not None:
        unit.send("merge", order.winner.encode(), handed.absorb)
    for write in handed.withdrawn:
        unit.send(f"writes.{write.system}", write.canonical.encode(), write)
    if golden is not None:
        _tell_all(unit, golden, order.winner)
    if handed.event is not None:
        unit.publish(Record(f"events.{order.entity}", *to_kafka(handed.event)))


def leave(unit: Unit, golden: Golden, order: Part, mapping: EntityMapping) -> Folded | None:
    """Let a record go to a golden record of its own; what is left of this one, None where it is not there."""
    parted = part(golden, order, mapping)
    if parted is None:
        return None
    unit.send("merge", order.into.encode(), parted.absorb)
    _tell(unit, order.system, order.native_id, order.entity, order.into)
    return parted.left


def _tell_all(unit: Unit, golden: Golden, winner: str) -> None:
    for system, natives in golden.living.items():
        for native in natives:
            _tell(unit, system, native, golden.entity, winner)


def _tell(unit: Unit, system: str, native_id: str, entity: str, canonical: str) -> None:
    unit.send("links", native_key(system, native_id), Link(system, native_id, entity, canonical))
