"""merge: folds each change into its golden record, says what changed and why, and asks for what the systems lack.

Promises: a pure function of its recorded input (the `merge` topic, read committed, in order): a replay yields the same
golden records, events and writes, ids included. Every change gets exactly one outcome here, or was given one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from isthmus.codecs.dead import dead_letter
from isthmus.codecs.events import to_kafka
from isthmus.codecs.linked import Linked, item_from_wire
from isthmus.config.mapping import Mappings
from isthmus.tables.fold import fold
from isthmus.tables.golden import Golden
from isthmus.tables.stage import Item, Record, Stage, Unit

GOLDEN = "golden"


def stage(mappings: Mappings) -> Stage:
    """The stage over all entities."""

    def work(unit: Unit, items: Sequence[Item]) -> None:
        for item in items:
            try:
                merge(unit, item.element, mappings)
            except Exception as fault:
                _bury(unit, item.element, fault)

    return Stage("merge", ("merge",), (GOLDEN,), work)


def merge(unit: Unit, element: dict[str, Any], mappings: Mappings) -> None:
    """Fold one change or report."""
    item = item_from_wire(element)
    key = item.canonical.encode()
    held = unit.get(GOLDEN, key)
    folded = fold(None if held is None else Golden.from_wire(held), item, mappings.entities[item.entity])
    unit.put(GOLDEN, key, folded.state.to_wire())
    if folded.event is not None:
        unit.publish(Record(f"events.{item.entity}", *to_kafka(folded.event)))
    for write in folded.writes:
        unit.send(f"writes.{write.system}", key, write.to_wire())
    if isinstance(item, Linked) and folded.outcome is not None:
        unit.count(item.system, item.entity, folded.outcome)


def _bury(unit: Unit, element: dict[str, Any], fault: Exception) -> None:
    if "change_id" in element:
        unit.count(str(element.get("system")), str(element.get("entity")), "dead")
    unit.bury(dead_letter(fault, stage="merge", original=orjson.dumps(element), canonical=element.get("canonical")))
