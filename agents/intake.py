"""intake: takes changes in: drops repeats, asks for re-reads where a platform only said that something changed, names
fields and tells values canonically, and sends each on to merge where its record is known, else to identify.

Promises: counts every change it accepts as received, once; a repeat is `unchanged`; a gap is `parked` until its re-read
arrives, which moves it; what cannot be understood is a dead letter, never a stop. A value that its transform refuses is
left out and is a dead letter of its own, with the whole change in it; the rest of the change goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from isthmus.agents.intake_sweep import sweep
from isthmus.codecs.arrival import Arrival, Link, Reread, Unlinked, native_key
from isthmus.codecs.change import Change, Value
from isthmus.codecs.dead import called, dead_letter, described
from isthmus.codecs.frames import Elements, encode
from isthmus.codecs.linked import Linked, Refer
from isthmus.codecs.translation import Told, Translation, Translations
from isthmus.config.errors import PlatformError
from isthmus.config.mapping import EntityMapping, Mappings
from isthmus.tables.dedup import DEDUP, Recent
from isthmus.tables.news import news
from isthmus.tables.references import REFERS, refer, relinked
from isthmus.tables.stage import Batch, Input, Stage
from isthmus.tables.unit import Unit
from isthmus.tables.xref import XREF, Known

LINKS, REFERRED = "links", "refers"


def stage(systems: Sequence[str], mappings: Mappings, tags: Mapping[str, str], merging: Collection[str] = ()) -> Stage:
    """The stage over the changes of these systems; `tags`: what a change's origin holds where we made it ourselves;
    `merging`: those that tell a merge of two records as the delete of one, and have to be asked."""
    translations = Translations(mappings)

    def fold(unit: Unit, batches: Sequence[Batch]) -> None:
        for batch in batches:
            if batch.topic == LINKS:
                for link in batch.elements:
                    learn(unit, link, mappings)
            elif batch.topic == REFERRED:
                for one in batch.elements:
                    refer(unit, one)
            else:
                for arrival in batch.elements:
                    accept(unit, arrival, mappings, tags, translations, merging)

    def bury(unit: Unit, raw: bytes, fault: Exception) -> None:
        _bury(unit, raw, fault, mappings)

    changes = Elements(Arrival)
    inputs = (
        *(Input(f"changes.{name}", changes) for name in systems),
        Input(LINKS, Elements(Link)),
        Input(REFERRED, Elements(Refer)),
    )
    return Stage("intake", inputs, (DEDUP, XREF, REFERS), fold, bury, at_once=True)


def learn(unit: Unit, link: Link, mappings: Mappings) -> None:
    """Remember who a native record is, and tell those that point at it."""
    key, said = native_key(link.system, link.native_id), link.said
    known = unit.get(XREF, key)
    if said is None:
        said = known.said if known else {}
    moved = known is not None and known.canonical != link.canonical
    turns = known.turns + moved if known else 0
    now = Known(link.canonical, link.entity, said, turns)
    unit.put(XREF, key, now)
    if link.entity in mappings.referred and (known is None or moved):
        relinked(unit, key, known, now)


def accept(
    unit: Unit,
    arrival: Arrival,
    mappings: Mappings,
    tags: Mapping[str, str],
    translations: Translations,
    merging: Collection[str] = (),
) -> None:
    """Count a change as received and take it in."""
    system = arrival.change.system
    mapping = mappings.of_object(system, arrival.change.entity)
    if mapping is None:
        raise PlatformError(
            f"{system} {arrival.change.entity} is not mapped", code="UNMAPPED", hint="add it to an entity file"
        )
    if arrival.swept:
        sweep(unit, arrival, mapping)
        return
    _receive(unit, system, mapping.entity, arrival.again)
    if arrival.answers is not None and arrival.again is None:
        unit.count(system, mapping.entity, "reread")
    tag, translation = tags.get(system, ""), translations.of(system, arrival.change.entity)
    take(unit, arrival, mapping, tag, translation, merges=system in merging)


def _receive(unit: Unit, system: str, entity: str, again: str | None) -> None:
    """Count a change as received. A dead letter was received before, and for another entity where its mapping is new."""
    if again is not None:
        unit.count(*_subject(again), "received", -1)
    unit.count(system, entity, "received")


def _subject(name: str) -> tuple[str, str]:
    system, _, entity = name.partition("/")
    return system, entity


def _bury(unit: Unit, raw: bytes, fault: Exception, mappings: Mappings) -> None:
    """What could not be accepted: received, and dead."""
    told = described(raw)
    change = held if isinstance(held := told.get("change"), dict) else {}
    system, entity = called(change.get("system")), called(change.get("entity"))
    mapping = mappings.of_object(system, entity)
    name = mapping.entity if mapping else entity
    _receive(unit, system, name, again if isinstance(again := told.get("again"), str) else None)
    unit.count(system, name, "dead")
    context = {"system": system, "entity": name, "record_id": change.get("record_id")}
    context["correlation"] = told.get("correlation")
    topic = f"changes.{system}" if change else ""
    unit.bury(dead_letter(fault, stage="intake", original=raw, topic=topic, counted=f"{system}/{name}", **context))


def take(
    unit: Unit,
    arrival: Arrival,
    mapping: EntityMapping,
    tag: str = "",
    translation: Translation | None = None,
    *,
    merges: bool = False,
) -> None:
    """Take in one change that was counted as received. `merges`: a delete may have been a merge."""
    change = arrival.change
    key = native_key(change.system, change.record_id)
    recent = unit.get(DEDUP, key) or Recent()
    if not recent.note(change.change_id):
        unit.count(change.system, mapping.entity, "unchanged")
        return
    unit.put(DEDUP, key, recent)
    if change.operation != "gap":
        recent.gone = change.operation == "delete"
    match change.operation:
        case "overflow":
            _overflow(unit, arrival, mapping)
        case "gap" if change.text_differences and _may_differ(unit, change, mapping, key, translation):
            update = replace(change, operation="update")
            _route(unit, replace(arrival, change=update), mapping, tag, key, translation)
        case "gap":
            _ask(unit, arrival, mapping, key)
            recent.open_gap(change.change_id)
        case "delete" if merges and arrival.answers is None and _may_be_merged(unit, change, tag, key):
            unit.count(change.system, mapping.entity, "parked")
            ask = Reread(change.entity, change.record_id, arrival.correlation, answers=change.change_id, told=change)
            unit.send(f"rereads.{change.system}", key, ask)
            recent.open_gap(change.change_id)
        case _ if translation is not None and not arrival.whole and translation.lacks(change):
            _ask(unit, arrival, mapping, key)
            recent.open_gap(change.change_id)
        case _:
            if recent.fill_gap(arrival.answers):
                unit.count(change.system, mapping.entity, "parked", -1)
                unit.count(change.system, mapping.entity, "applied")
            _route(unit, arrival, mapping, tag, key, translation)


def _may_be_merged(unit: Unit, change: Change, tag: str, key: bytes) -> bool:
    """Only a record that is known can have been another customer's; what we deleted ourselves was not merged."""
    return unit.get(XREF, key) is not None and not (tag and tag in (change.origin or ""))


def _may_differ(
    unit: Unit, change: Change, mapping: EntityMapping, key: bytes, translation: Translation | None
) -> bool:
    """May merge know the texts that are told as differences? It holds those of known records, and as they are where no
    transform stands between. What a record is linked by is read."""
    if unit.get(XREF, key) is None or (translation is not None and translation.lacks(change)):
        return False
    heard = mapping.systems[change.system].declared.items()
    told = {name: one for name, one in heard if one.inward and one.column in change.text_differences}
    return all(one.transform is None for one in told.values()) and told.keys().isdisjoint(mapping.linking)


def _overflow(unit: Unit, arrival: Arrival, mapping: EntityMapping) -> None:
    change = arrival.change
    unit.count(change.system, mapping.entity, "dead")
    fault = PlatformError("more changed than is listed", code="OVERFLOW", hint="re-read the whole entity")
    context = {"system": change.system, "entity": mapping.entity, "correlation": arrival.correlation}
    counted = f"{change.system}/{mapping.entity}"
    unit.bury(dead_letter(fault, stage="intake", original=encode(arrival), counted=counted, **context))


def _ask(unit: Unit, arrival: Arrival, mapping: EntityMapping, key: bytes) -> None:
    """Ask for the re-read of a record whose change hides behind a gap, or tells too little to be understood."""
    change = arrival.change
    unit.count(change.system, mapping.entity, "parked")
    ask = Reread(change.entity, change.record_id, arrival.correlation, change.version, answers=change.change_id)
    unit.send(f"rereads.{change.system}", key, ask)


def _route(
    unit: Unit, arrival: Arrival, mapping: EntityMapping, tag: str, key: bytes, translation: Translation | None
) -> None:
    change = arrival.change
    told = None if translation is None else translation.inward(change.fields, change.cleared)
    known = unit.get(XREF, key)
    linked = canonical_change(arrival, mapping, known.canonical if known else "", tag, told)
    column = change.fields.get(mapping.systems[change.system].external_id)
    external = None if column is None else str(column)
    said = news(known, mapping, external, linked) if known else None
    if known and said is None and arrival.merged_into is None:
        unit.send("merge", known.canonical.encode(), linked)
    else:
        unit.send("identify", mapping.family.encode(), Unlinked(linked, external, arrival.merged_into))
        if known and said is not None:
            unit.put(XREF, key, replace(known, said=said))
    if told is not None and told.refused:
        _refuse(unit, arrival, mapping, told)


def _refuse(unit: Unit, arrival: Arrival, mapping: EntityMapping, told: Told) -> None:
    """A dead letter for each value that was left out. The change goes on, so it is no dead one in the books."""
    change, original = arrival.change, encode(arrival)
    for fault in told.refused:
        letter: dict[str, Any] = {
            "system": change.system,
            "entity": mapping.entity,
            "record_id": change.record_id,
            "field": fault.field,
            "value": fault.value,
            "correlation": arrival.correlation,
        }
        unit.bury(dead_letter(fault, stage="intake", original=original, **letter))
    unit.count(change.system, mapping.entity, "fields_refused", len(told.refused))


def canonical_change(
    arrival: Arrival, mapping: EntityMapping, canonical: str, tag: str = "", told: Told | None = None
) -> Linked:
    """The change under canonical field names; fields that are not mapped are left out. `tag`: how our own hand shows;
    `told`: its fields, where they had to be translated."""
    change = arrival.change
    if told is None:
        names = mapping.systems[change.system].canonical
        cleared = tuple(names[name] for name in change.cleared if name in names) if change.cleared else ()
        fields = {names[name]: value for name, value in change.fields.items() if name in names}
    else:
        fields, cleared = told.fields, told.cleared
    refers = _taken_out(fields, mapping) if mapping.references else {}
    return Linked(
        change.system,
        change.record_id,
        mapping.entity,
        canonical,
        change.operation,
        fields,
        cleared,
        change.version or "",
        change.changed_at or "",
        change.change_id,
        arrival.correlation,
        _tagged(change, tag) if tag and not arrival.whole else None,
        arrival.whole,
        refers,
        _differences(change, mapping) if change.text_differences else {},
        arrival.use if arrival.again is None else "batch",
    )


def _differences(change: Change, mapping: EntityMapping) -> dict[str, str]:
    names = mapping.systems[change.system].canonical
    return {names[name]: difference for name, difference in change.text_differences.items() if name in names}


def _taken_out(fields: dict[str, Value], mapping: EntityMapping) -> dict[str, str]:
    """The references of a change, out of its fields: a native id is no canonical value."""
    return {name: str(fields.pop(name)) for name in mapping.references if name in fields}


def _tagged(change: Change, tag: str) -> bool | None:
    """None where the origin names nobody: batch APIs may not pass our name on (salesforce.md §4.3, §8)."""
    origin = change.origin or ""
    nameless = "/api/rest/" in origin and "client=" not in origin
    return True if tag in origin else None if nameless else False
