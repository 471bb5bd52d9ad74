"""`isthmus match`: which records of two systems are the same, before they are joined for the first time.

Promises: without --apply nothing is written anywhere. With it, sure pairs and records that stand alone go to identify,
each pair at once, so that nothing is created twice; of the likely ones a person is asked, and nothing becomes of them until
then. Doing it again does no harm.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from isthmus.agents.identities import TOPIC
from isthmus.agents.intake import canonical_change
from isthmus.codecs.arrival import Arrival, Reread
from isthmus.codecs.identities import Ask, Load, Word, question_id
from isthmus.codecs.reviews import Review, Side
from isthmus.codecs.translation import Translations
from isthmus.config.errors import ConfigError, IsthmusError
from isthmus.config.mapping import ENTITIES, EntityMapping, Mappings, load_mappings
from isthmus.config.settings import Settings
from isthmus.node.orders import Orders
from isthmus.node.systems import open_systems
from isthmus.node.topics import Topics, create
from isthmus.systems.protocol import Row, System
from isthmus.tables.matching import Entry, Pair, Plan, plan
from isthmus.tables.rows import read_change
from isthmus.tables.unit import partition_of

CHUNK = 200
SHOWN = 50
CORRELATION = "match"


def run_match(settings: Settings, entity: str, between: Sequence[str], *, apply: bool, as_json: bool) -> int:
    """Match, print, and with `apply` have it done; the exit code."""
    mappings = load_mappings(settings.entities_dir or ENTITIES)
    if entity not in mappings.entities:
        raise ConfigError(f"no entity {entity}", hint=f"there are {', '.join(mappings.entities)}")
    mapping = mappings.entities[entity]
    systems = _two(open_systems(settings, mappings), mapping, between)
    found = asyncio.run(_matched(settings, systems, mappings, mapping, apply=apply))
    names = [system.name for system in systems]
    print(orjson.dumps(as_told(found, names, applied=apply)).decode()) if as_json else _show(found, names)
    return 0


def _two(systems: Sequence[System], mapping: EntityMapping, between: Sequence[str]) -> list[System]:
    mapped = [system for system in systems if system.name in mapping.systems]
    chosen = [system for system in mapped if system.name in between] if between else mapped
    if len(chosen) != 2:
        there = ", ".join(system.name for system in mapped)
        raise ConfigError(f"matching takes two systems, not {len(chosen)}", hint=f"say --between; there are {there}")
    return chosen


async def _matched(
    settings: Settings, systems: Sequence[System], mappings: Mappings, mapping: EntityMapping, *, apply: bool
) -> Plan:
    await asyncio.gather(*(system.open() for system in systems))
    try:
        left, right = await scan_both(systems, mappings, mapping)
    finally:
        await asyncio.gather(*(system.close() for system in systems))
    found = plan(mapping, left, right)
    if apply:
        topics = Topics(settings.node.namespace, settings.node.partitions, settings.kafka.replication_factor)
        try:
            await publish(settings.kafka.bootstrap, topics, mapping, list(words(found, mapping)))
        except KafkaError as fault:
            raise IsthmusError(f"{settings.kafka.bootstrap}: {fault}", hint="run it again; it does no harm") from None
    return found


# -- reading


async def scan_both(systems: Sequence[System], mappings: Mappings, mapping: EntityMapping) -> list[list[Entry]]:
    """Every record of an entity in both systems, under canonical names."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
        tasks = [progress.add_task(f"{system.name} {mapping.entity}", total=None) for system in systems]

        async def all_of(system: System, task: Any) -> list[Entry]:
            entries = []
            async for entry in scanned(system, mappings, mapping):
                entries.append(entry)
                progress.advance(task)
            return entries

        return list(await asyncio.gather(*(all_of(one, task) for one, task in zip(systems, tasks, strict=True))))


async def scanned(system: System, mappings: Mappings, mapping: EntityMapping) -> AsyncIterator[Entry]:
    """A system's records of an entity."""
    target = mapping.systems[system.name]
    translation = Translations(mappings).of(system.name, target.object)
    async for row in system.scan(target.object):
        if row.exists:
            arrival = _arrival(system.name, target.object, row)
            change = arrival.change
            told = None if translation is None else translation.inward(change.fields, change.cleared)
            linked = canonical_change(arrival, mapping, "", told=told)
            external = row.fields.get(target.external_id)
            yield Entry(row.record_id, linked.values(), str(external) if external else None, linked)


def _arrival(system: str, object: str, row: Row) -> Arrival:
    """A scanned record as a full read of it."""
    asked = Reread(object, row.record_id, CORRELATION)
    change = read_change(system, asked, "update", row.fields, row.version or "", row.changed_at)
    return Arrival(change, CORRELATION, whole=True)


# -- doing


def words(found: Plan, mapping: EntityMapping) -> Iterator[Word]:
    """What identify is to hear: pairs first, then questions, then what stands alone, so that nobody comes too early."""
    for pair in found.sure:
        yield _load(pair.left, pair.right)
    for pair in found.asked:
        yield _ask(pair, mapping)
    for entry in (*found.left, *found.right):
        yield _load(entry)


def _load(*entries: Entry) -> Load:
    rows = tuple(one.linked for one in entries if one.linked is not None)
    return Load(rows, tuple(one.external for one in entries))


def _ask(pair: Pair, mapping: EntityMapping) -> Ask:
    left, right = pair.left, pair.right
    assert left.linked is not None
    assert right.linked is not None
    shown = next(iter(mapping.matching.fuzzy), mapping.linking[0] if mapping.linking else next(iter(mapping.fields)))
    rows = (left.linked, right.linked)
    sides = tuple(Side(row.system, row.native_id, row.values().get(shown), row.changed_at) for row in rows)
    id_ = question_id(mapping.entity, *((row.system, row.native_id) for row in rows))
    review = Review(id_, "match", mapping.entity, "", "", shown, sides, tuple(_reasons(pair)), pair.score)
    return Ask(rows, (left.external, right.external), review)


def _reasons(pair: Pair) -> Iterator[str]:
    if pair.by:
        yield f"equal {pair.by}"
    yield from map(str, pair.why)


async def publish(bootstrap: str, topics: Topics, mapping: EntityMapping, told: Sequence[Word]) -> None:
    """Put words on Kafka, in order."""
    await create(bootstrap, topics.declared((), (TOPIC,)))  # no worker need have run before
    orders = Orders(bootstrap, topics)
    partition = partition_of(mapping.family.encode(), topics.partitions)
    await orders.open()
    try:
        for first in range(0, len(told), CHUNK):
            await orders.send(TOPIC, {partition: told[first : first + CHUNK]})
    finally:
        await orders.close()


# -- showing


def as_told(found: Plan, names: Sequence[str], *, applied: bool) -> dict[str, Any]:
    """The plan as JSON."""
    return {
        "systems": list(names),
        "sure": [_told(pair) for pair in found.sure],
        "asked": [_told(pair) for pair in found.asked],
        "alone": {names[0]: [one.native_id for one in found.left], names[1]: [one.native_id for one in found.right]},
        "applied": applied,
    }


def _told(pair: Pair) -> Mapping[str, Any]:
    why = [one._asdict() for one in pair.why]
    return {"left": pair.left.native_id, "right": pair.right.native_id, "score": pair.score, "by": pair.by, "why": why}


def _show(found: Plan, names: Sequence[str]) -> None:
    table = Table(*names, "score", "what", "why", box=None)
    rows = [*((pair, "sure") for pair in found.sure), *((pair, "to be asked") for pair in found.asked)]
    for pair, what in rows[-SHOWN:]:
        why = "; ".join(_reasons(pair))
        table.add_row(pair.left.native_id, pair.right.native_id, f"{pair.score:.2f}", what, why)
    console = Console(file=sys.stdout)
    if rows:
        console.print(table)
    if len(rows) > SHOWN:
        console.print(f"... and {len(rows) - SHOWN} sure ones more")
    console.print(_summary(found, names))


def _summary(found: Plan, names: Sequence[str]) -> str:
    alone = ", ".join(f"{len(some)} alone in {name}" for name, some in zip(names, _sides(found), strict=True))
    return f"{len(found.sure)} sure, {len(found.asked)} to be asked, {alone}"


def _sides(found: Plan) -> Iterable[Sequence[Entry]]:
    return found.left, found.right
