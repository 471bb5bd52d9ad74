"""What a full read did not meet of the records that intake knows: a platform whose reads carry no version.

Promises: pure in what came in; each record that is known, was not deleted and was not met is asked for by its id, so
nothing is taken for deleted by its absence; where they are more than a set share, none is asked for and a dead letter
says so.
"""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from isthmus.codecs.arrival import Arrival, Reread, native_key
from isthmus.codecs.dead import dead_letter
from isthmus.codecs.frames import encode
from isthmus.config.mapping import EntityMapping
from isthmus.tables.dedup import DEDUP, Recent
from isthmus.tables.rows import read_id, too_many, too_many_gone
from isthmus.tables.unit import Unit
from isthmus.tables.xref import XREF

log = structlog.get_logger()


def sweep(unit: Unit, arrival: Arrival, mapping: EntityMapping) -> None:
    """A full read is over: ask for each record that it did not meet."""
    living = dict(_living(unit, arrival, mapping))
    missing = [record_id for record_id, met in living.items() if not met]
    if too_many(len(missing), len(living)):
        _disbelieve(unit, arrival, mapping, len(missing), len(living))
        return
    change = arrival.change
    for record_id in missing:
        ask = Reread(change.entity, record_id, arrival.correlation, change.version, use="batch")
        unit.send(f"rereads.{change.system}", native_key(change.system, record_id), ask)


def _living(unit: Unit, arrival: Arrival, mapping: EntityMapping) -> Iterator[tuple[str, bool]]:
    """The records of an entity that are not known to be gone, and whether the full read met them."""
    change, prefix = arrival.change, native_key(arrival.change.system, "")
    for key, raw in unit.views[XREF.name].scan(prefix):
        if XREF.decode(raw).entity != mapping.entity:
            continue
        recent, record_id = unit.get(DEDUP, key) or Recent(), key.removeprefix(prefix).decode()
        if not recent.gone:
            yield record_id, recent.noted(read_id(change.system, change.entity, record_id, change.version or ""))


def _disbelieve(unit: Unit, arrival: Arrival, mapping: EntityMapping, missing: int, known: int) -> None:
    change = arrival.change
    fault = too_many_gone(missing, known, change.entity)
    log.critical("none of them is taken for deleted", system=change.system, fault=str(fault))
    unit.count(change.system, mapping.entity, "received")
    unit.count(change.system, mapping.entity, "dead")
    again = encode(Reread(change.entity, "", arrival.correlation, change.version, swept=True, use="batch"))
    context = {"system": change.system, "entity": change.entity, "correlation": arrival.correlation}
    way = {"topic": f"rereads.{change.system}", "counted": f"{change.system}/{mapping.entity}"}
    unit.bury(dead_letter(fault, stage="intake", original=again, **way, **context))
