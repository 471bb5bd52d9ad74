"""identify: says which golden record a native record is that intake has not met before.

Promises: one partition an entity family, so decisions are serial and cannot contradict; each is published on `links`,
which feeds intake's xref, and the change goes on to merge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from isthmus.codecs.arrival import Link, native_key
from isthmus.codecs.dead import dead_letter
from isthmus.codecs.linked import Linked
from isthmus.config.mapping import Mappings
from isthmus.tables.identity import link
from isthmus.tables.stage import Item, Stage, Unit

IDENTITY = "identity"


def stage(mappings: Mappings) -> Stage:
    """The stage over all families."""

    def fold(unit: Unit, items: Sequence[Item]) -> None:
        for item in items:
            try:
                identify(unit, Linked.from_wire(item.element["linked"]), item.element["external_id"], mappings)
            except Exception as fault:
                _bury(unit, item.element, fault)

    return Stage("identify", ("identify",), (IDENTITY,), fold)


def identify(unit: Unit, linked: Linked, external_id: str | None, mappings: Mappings) -> None:
    """Link one change's record and send the change on."""
    if linked.operation == "delete" and unit.get(IDENTITY, native_key(linked.system, linked.native_id)) is None:
        unit.count(linked.system, linked.entity, "unchanged")
        return
    mapping = mappings.entities[linked.entity]

    def find(key: bytes) -> Any:
        return unit.get(IDENTITY, key)

    decided = link(find, mapping, linked.system, linked.native_id, linked.fields, external_id)
    for key, value in decided.keys.items():
        unit.put(IDENTITY, key, value)
    unit.send("merge", decided.canonical.encode(), linked.at(decided.canonical).to_wire())
    told = Link(linked.system, linked.native_id, linked.entity, decided.canonical)
    unit.send("links", native_key(linked.system, linked.native_id), told.to_wire())


def _bury(unit: Unit, element: dict[str, Any], fault: Exception) -> None:
    linked = element.get("linked", {})
    unit.count(str(linked.get("system")), str(linked.get("entity")), "dead")
    unit.bury(dead_letter(fault, stage="identify", original=orjson.dumps(element), record_id=linked.get("native_id")))
