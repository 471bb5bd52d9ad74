"""intake: takes changes in: drops repeats, asks for re-reads where a platform only said that something changed, names
fields canonically, and sends each on to merge where its record is known, else to identify.

Promises: counts every change it accepts as received, once; a repeat is `unchanged`; a gap is `parked` until its re-read
arrives, which moves it; what cannot be understood is a dead letter, never a stop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from isthmus.codecs.arrival import Arrival, Link, Reread, native_key
from isthmus.codecs.dead import dead_letter
from isthmus.codecs.linked import Linked
from isthmus.config.errors import PlatformError
from isthmus.config.mapping import EntityMapping, Mappings
from isthmus.tables.dedup import Recent
from isthmus.tables.stage import Item, Stage, Unit

DEDUP, XREF = "dedup", "xref"


def stage(systems: Sequence[str], mappings: Mappings, tags: Mapping[str, str]) -> Stage:
    """The stage over the changes of these systems; `tags`: what a change's origin holds where we made it ourselves."""

    def fold(unit: Unit, items: Sequence[Item]) -> None:
        for item in items:
            if item.topic == "links":
                learn(unit, Link.from_wire(item.element))
            else:
                _guarded(unit, item.element, mappings, tags)

    return Stage("intake", (*(f"changes.{name}" for name in systems), "links"), (DEDUP, XREF), fold)


def learn(unit: Unit, link: Link) -> None:
    """Remember who a native record is."""
    key = native_key(link.system, link.native_id)
    unit.put(XREF, key, {"canonical": link.canonical, "entity": link.entity})


def _guarded(unit: Unit, element: dict[str, Any], mappings: Mappings, tags: Mapping[str, str]) -> None:
    change = element.get("change", {})
    system, entity = str(change.get("system")), str(change.get("entity"))
    mapping = mappings.of_object(system, entity)
    name = mapping.entity if mapping else entity
    unit.count(system, name, "received")
    try:
        if mapping is None:
            raise PlatformError(f"{system} {entity} is not mapped", code="UNMAPPED", hint="add it to an entity file")
        take(unit, Arrival.from_wire(element), mapping, tags.get(system, ""))
    except Exception as fault:
        unit.count(system, name, "dead")
        context = {"system": system, "entity": name, "record_id": change.get("record_id")}
        unit.bury(dead_letter(fault, stage="intake", original=orjson.dumps(element), **context))


def take(unit: Unit, arrival: Arrival, mapping: EntityMapping, tag: str = "") -> None:
    """Take in one change that was counted as received."""
    change = arrival.change
    key = native_key(change.system, change.record_id)
    recent = Recent.from_wire(unit.get(DEDUP, key))
    if recent.seen(change.change_id):
        unit.count(change.system, mapping.entity, "unchanged")
        return
    recent = _settle_gaps(unit, arrival, recent.remember(change.change_id), mapping)
    unit.put(DEDUP, key, recent.to_wire())
    if change.operation not in ("gap", "overflow"):
        _route(unit, arrival, mapping, tag)


def _settle_gaps(unit: Unit, arrival: Arrival, recent: Recent, mapping: EntityMapping) -> Recent:
    """Open a gap and ask for its re-read, or fill the one that this change answers."""
    change = arrival.change
    if change.operation == "overflow":
        unit.count(change.system, mapping.entity, "dead")
        fault = PlatformError("more changed than is listed", code="OVERFLOW", hint="re-read the whole entity")
        unit.bury(dead_letter(fault, stage="intake", original=orjson.dumps(arrival.to_wire()), system=change.system))
    elif change.operation == "gap":
        unit.count(change.system, mapping.entity, "parked")
        ask = Reread(change.entity, change.record_id, arrival.correlation, change.version, answers=change.change_id)
        unit.send(f"rereads.{change.system}", native_key(change.system, change.record_id), ask.to_wire())
        return recent.open_gap(change.change_id)
    elif arrival.answers in recent.gaps:
        unit.count(change.system, mapping.entity, "parked", -1)
        unit.count(change.system, mapping.entity, "applied")
        return recent.fill_gap(str(arrival.answers))
    return recent


def _route(unit: Unit, arrival: Arrival, mapping: EntityMapping, tag: str) -> None:
    change = arrival.change
    known = unit.get(XREF, native_key(change.system, change.record_id))
    linked = canonical_change(arrival, mapping, known["canonical"] if known else "", tag)
    if known:
        unit.send("merge", linked.canonical.encode(), linked.to_wire())
    else:
        external = change.fields.get(mapping.systems[change.system].external_id)
        unit.send("identify", mapping.family.encode(), {"linked": linked.to_wire(), "external_id": external})


def canonical_change(arrival: Arrival, mapping: EntityMapping, canonical: str, tag: str = "") -> Linked:
    """The change under canonical field names; fields that are not mapped are left out. `tag`: how our own hand shows."""
    change = arrival.change
    names = mapping.systems[change.system].canonical
    return Linked(
        system=change.system,
        native_id=change.record_id,
        entity=mapping.entity,
        canonical=canonical,
        operation=change.operation,
        fields={names[name]: value for name, value in change.fields.items() if name in names},
        cleared=tuple(names[name] for name in change.cleared if name in names),
        version=change.version or "",
        changed_at=change.changed_at or "",
        change_id=change.change_id,
        correlation=arrival.correlation,
        tagged=tag in (change.origin or "") if tag and not arrival.whole else None,
        row=arrival.whole,
    )
