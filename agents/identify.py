"""identify: says which golden record a native record is that intake has not met before.

Promises: one partition an entity family, so decisions are serial and cannot contradict; each is published on `links`,
which feeds intake's xref, and the change goes on to merge.
"""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.codecs.arrival import Link, Unlinked, native_key
from isthmus.codecs.dead import called, dead_letter, described
from isthmus.codecs.frames import Elements
from isthmus.config.mapping import Mappings
from isthmus.tables.identity import IDENTITY, link
from isthmus.tables.stage import Batch, Input, Stage
from isthmus.tables.unit import Unit


def stage(mappings: Mappings) -> Stage:
    """The stage over all families."""

    def fold(unit: Unit, batches: Sequence[Batch]) -> None:
        for batch in batches:
            for unlinked in batch.elements:
                identify(unit, unlinked, mappings)

    return Stage("identify", (Input("identify", Elements(Unlinked)),), (IDENTITY,), fold, _bury, at_once=True)


def identify(unit: Unit, unlinked: Unlinked, mappings: Mappings) -> None:
    """Link one change's record and send the change on."""
    linked = unlinked.linked
    native = native_key(linked.system, linked.native_id)
    if linked.operation == "delete" and unlinked.external_id is None and unit.get(IDENTITY, native) is None:
        unit.count(linked.system, linked.entity, "unchanged")
        return
    mapping = mappings.entities[linked.entity]
    find = lambda key: unit.get(IDENTITY, key)  # noqa: E731
    decided = link(find, mapping, linked.system, linked.native_id, linked.fields, unlinked.external_id)
    for key, value in decided.keys.items():
        unit.put(IDENTITY, key, value)
    unit.send("merge", decided.canonical.encode(), linked.at(decided.canonical))
    unit.send("links", native, Link(linked.system, linked.native_id, linked.entity, decided.canonical))


def _bury(unit: Unit, raw: bytes, fault: Exception) -> None:
    """A change that cannot be linked is counted as dead; what a stranger wrote was never received."""
    linked = described(raw).get("linked")
    told = linked if isinstance(linked, dict) else {}
    context = {name: told[name] for name in ("system", "entity", "correlation") if name in told}
    system, entity = called(told.get("system")), called(told.get("entity"))
    counted = f"{system}/{entity}" if told else ""
    if counted:
        unit.count(system, entity, "dead")
    context["record_id"] = told.get("native_id")
    unit.bury(dead_letter(fault, stage="identify", original=raw, topic="identify", counted=counted, **context))
