"""merge: folds each change into its golden record, says what changed and why, and asks for what the systems lack.

Promises: a pure function of its recorded input (the `merge` topic, read committed, in order): a replay yields the same
golden records, events and writes, ids included. Every change gets exactly one outcome here, or was given one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from isthmus.agents.handover import forward, give_way, leave
from isthmus.codecs.arrival import native_key
from isthmus.codecs.cloud_events import to_kafka
from isthmus.codecs.dead import called, dead_letter, described
from isthmus.codecs.frames import Elements
from isthmus.codecs.limits import Use
from isthmus.codecs.linked import (
    Activate,
    Decide,
    Folding,
    Leaving,
    Linked,
    Loaded,
    Merged,
    Part,
    Reevaluate,
    Refer,
    Resolved,
    Tell,
    Yield,
)
from isthmus.config.mapping import EntityMapping, Mappings
from isthmus.tables.activations import IN_FORCE
from isthmus.tables.fold import fold
from isthmus.tables.folded import Asides, Folded, Outcome
from isthmus.tables.golden import GOLDEN, Golden
from isthmus.tables.rules import Rules, Versions
from isthmus.tables.stage import Batch, Input, Stage
from isthmus.tables.texts import to_be_read, whole
from isthmus.tables.unit import Record, Unit


def stage(mappings: Mappings) -> Stage:
    """The stage over all entities."""

    versions = Versions(mappings)

    def work(unit: Unit, batches: Sequence[Batch]) -> None:
        rules = Rules(unit, versions)
        for batch in batches:
            for item in batch.elements:
                take(unit, item, rules)

    return Stage("merge", (Input("merge", Elements(Merged)),), (GOLDEN, IN_FORCE), work, _bury, at_once=True)


def take(unit: Unit, item: Merged, rules: Rules) -> None:
    """Fold an item of a golden record, or do what an order says of all of an entity."""
    if isinstance(item, Linked):
        merge(unit, item, rules)
    elif isinstance(item, Activate):
        rules.activate(item)
    elif isinstance(item, Reevaluate):
        rules.reevaluate(item, _tell_in_bulk)
    else:
        merge(unit, item, rules)


def merge(unit: Unit, item: Folding | Leaving, rules: Rules) -> None:
    """Fold one change, report or order of one golden record; what became another one hands over and forwards."""
    state = unit.get(GOLDEN, item.canonical.encode())
    if state is not None and state.redirect is not None:
        forward(unit, state, item)
        return
    if isinstance(item, Linked):
        _change(unit, state, item, rules[item.entity])
        return
    if isinstance(item, Yield):
        give_way(unit, state, item, rules[item.entity])
        return
    if isinstance(item, Part):
        if state is not None and (parted := leave(unit, state, item, rules[item.entity])) is not None:
            _tell(unit, parted)
        return
    if state is None and isinstance(item, Tell | Resolved | Decide):
        if isinstance(item, Decide):
            unit.count(item.system, item.entity, "unchanged")
        return
    folded = fold(state, item, rules[item.entity])
    _tell(unit, folded, use_of(item))
    if isinstance(item, Loaded):
        _loaded(unit, item, folded.outcome, rules[item.entity])
    elif folded.outcome is not None and isinstance(item, Decide):
        unit.count(item.system, item.entity, folded.outcome)


def _change(unit: Unit, state: Golden | None, item: Linked, mapping: EntityMapping) -> None:
    if item.text_differences:
        change = whole(state, item)
        if change is None:
            _read(unit, item, mapping)
            return
        item = change
    folded = fold(state, item, mapping)
    _tell(unit, folded, item.use)
    if item.refers:
        _refer(unit, item, mapping)
    if folded.outcome is not None:
        unit.count(item.system, item.entity, folded.outcome)
    if folded.echoes:
        for layer, number in folded.echoes.items():
            unit.count(item.system, item.entity, layer, number)


def _read(unit: Unit, item: Linked, mapping: EntityMapping) -> None:
    """A text differs from one that is not known: intake asks for the record, and says what becomes of the change."""
    unit.send(f"changes.{item.system}", native_key(item.system, item.native_id), to_be_read(item, mapping))


def _loaded(unit: Unit, item: Loaded, outcome: Outcome | None, mapping: EntityMapping) -> None:
    """What was scanned came by no stream, so it is received here."""
    for row in item.rows:
        if row.refers:
            _refer(unit, replace(row.at(item.canonical), use="batch"), mapping)
        unit.count(row.system, row.entity, "received")
        unit.count(row.system, row.entity, outcome or "unchanged")


def _refer(unit: Unit, change: Linked, mapping: EntityMapping) -> None:
    """Ask whose the records are that a change points at; here, where it is known whose the change is."""
    for field, target in change.refers.items():
        to = mapping.references.get(field)
        if to is not None:
            asked = Refer(
                change.system,
                target,
                field,
                to,
                change.native_id,
                change.entity,
                change.canonical,
                change.version,
                change.changed_at,
                change.change_id,
                change.correlation,
                change.tagged,
                change.row,
                field in mapping.existing,
                change.use,
            )
            unit.send("refers", native_key(change.system, target), asked)


def use_of(item: Folding) -> Use:
    """Of whose budget the writes are that an item leads to: what was matched, and what is told again after a dead letter,
    is done in bulk."""
    if isinstance(item, Linked | Resolved):
        return item.use
    return "batch" if isinstance(item, Loaded) or (isinstance(item, Tell) and not item.found) else "interactive"


def _tell_in_bulk(unit: Unit, folded: Folded) -> None:
    _tell(unit, folded, "batch")


def _tell(unit: Unit, folded: Folded, use: Use = "interactive") -> None:
    """Keep what a golden record came to, and tell the world."""
    key = folded.state.canonical.encode()
    unit.put(GOLDEN, key, folded.state)
    if folded.event is not None:
        _, value, headers = to_kafka(folded.event)
        unit.publish(Record(f"events.{folded.state.entity}", key, value, headers))
    for write in folded.writes:
        if not write.withdrawn:
            unit.count(write.system, write.entity, "delivery_intended")
        unit.send(f"writes.{write.system}", key, write if use == write.use else replace(write, use=use))
    for review in folded.reviews:
        unit.send("reviews", review.id.encode(), review)
    if folded.asides is not None:
        _tell_stewards(unit, folded.state.entity, folded.asides)


def _tell_stewards(unit: Unit, entity: str, asides: Asides) -> None:
    """The questions and the tasks, each of which is a change received; what waited for a repair is applied."""
    for system, number in asides.repaired.items():
        unit.count(system, entity, "parked", -number)
        unit.count(system, entity, "applied", number)
    for review in asides.reviews:
        unit.send("reviews", review.id.encode(), review)
    for task in asides.tasks:
        unit.count(task.system, task.entity, "received")
        unit.send("merge", task.canonical.encode(), task)


def _bury(unit: Unit, raw: bytes, fault: Exception) -> None:
    """A change that cannot be folded is counted as dead; a report never was a change."""
    told = described(raw)
    names = ("system", "entity", "canonical", "correlation")
    context: dict[str, Any] = {name: told[name] for name in names if name in told}
    system, entity = called(told.get("system")), called(told.get("entity"))
    counted = f"{system}/{entity}" if told.get("kind") == "change" else ""
    if counted:
        unit.count(system, entity, "dead")
    if held := unit.get(IN_FORCE, entity.encode()):
        context["mapping"] = held.version
    unit.bury(dead_letter(fault, stage="merge", original=raw, topic="merge", counted=counted, **context))
