"""The proof at the end of a demo: do both systems and the golden records agree, and did every event come once?

Promises: looks only from outside, as a stranger would: rows of the two systems, the HTTP API, the canonical events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from isthmus.codecs.translation import Translation, Translations
from isthmus.config.mapping import EntityMapping, Mappings, SystemMapping

Rows = Mapping[str, Mapping[str, Any]]
Whose = Mapping[tuple[str, str], str]


@dataclass(slots=True)
class Events:
    """The canonical events read so far: how many of each type, and every golden record's id."""

    types: dict[str, int] = field(default_factory=dict)
    records: dict[str, set[str]] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    repeated: int = 0

    def note(self, entity: str, key: bytes, headers: Iterable[tuple[str, bytes]]) -> None:
        """Count one event."""
        named = dict(headers)
        kind, identity = named["ce_type"].decode(), named["ce_id"].decode()
        self.repeated += identity in self.ids
        self.ids.add(identity)
        self.types[kind] = self.types.get(kind, 0) + 1
        self.records.setdefault(entity, set()).add(key.decode())


async def read_events(bootstrap: str, namespace: str, mappings: Mappings) -> Events:
    """All canonical events that are committed now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False)
    await consumer.start()
    try:
        events = Events()
        for entity in mappings.entities:
            async for record in _all(consumer, f"{namespace}events.{entity}"):
                events.note(entity, record.key, record.headers)
        return events
    finally:
        await consumer.stop()


async def _all(consumer: AIOKafkaConsumer, topic: str) -> Any:
    await consumer._client._wait_on_metadata(topic)
    parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
    consumer.assign(parts)
    await consumer.seek_to_beginning(*parts)
    ends = await consumer.end_offsets(parts)
    while [part for part in parts if await consumer.position(part) < ends[part]]:
        for records in (await consumer.getmany(timeout_ms=100)).values():
            for record in records:
                yield record


async def disagreements(
    url: str, mappings: Mappings, events: Events, rows: Mapping[str, Mapping[str, Rows]], limit: int = 20
) -> list[str]:
    """What does not agree, in words; empty when all does. `rows` maps system and object to live rows by id."""
    found: list[str] = []
    translations = Translations(mappings)
    async with aiohttp.ClientSession() as session:
        goldens = {
            name: await _goldens(session, url, name, events.records.get(name, set())) for name in mappings.entities
        }
        whose = _whose(one for some in goldens.values() for one in some)
        for entity in mappings.entities.values():
            linked: dict[str, set[str]] = {system: set() for system in entity.systems}
            for golden in goldens[entity.entity]:
                found.extend(_compare(entity, golden, rows, linked, translations, whose))
            for system, mapping in entity.systems.items():
                strangers = set(rows[system][mapping.object]) - linked[system]
                found.extend(f"{system} {mapping.object} {one} has no golden record" for one in sorted(strangers))
    return found[:limit]


def _whose(goldens: Iterable[Mapping[str, Any]]) -> Whose:
    """Which golden record each native record is."""
    return {
        (system, native): golden["id"]
        for golden in goldens
        for system, natives in golden["links"].items()
        for native in natives
    }


async def _goldens(session: aiohttp.ClientSession, url: str, entity: str, ids: set[str]) -> list[dict[str, Any]]:
    gate = asyncio.Semaphore(32)

    async def one(canonical: str) -> dict[str, Any]:
        async with gate, session.get(f"{url}/v1/golden/{entity}/{canonical}") as response:
            response.raise_for_status()
            held: dict[str, Any] = orjson.loads(await response.read())
            return held

    return await asyncio.gather(*(one(canonical) for canonical in sorted(ids)))


def _compare(
    entity: EntityMapping,
    golden: Mapping[str, Any],
    rows: Mapping[str, Mapping[str, Rows]],
    linked: dict[str, set[str]],
    translations: Translations,
    whose: Whose,
) -> Iterable[str]:
    links: Mapping[str, Mapping[str, bool]] = golden["links"]
    living = any(alive for natives in links.values() for alive in natives.values())
    ended = _ended(entity, links)
    for system, mapping in entity.systems.items():
        translation = translations.of(system, mapping.object)
        natives = links.get(system, {})
        if living and not ended and not natives:
            yield f"{system} lacks {entity.entity} {golden['id']}"
        # Where people have merged records, the others are listened to and not kept equal.
        primary = next((native for native, alive in natives.items() if alive), None)
        for native, alive in natives.items():
            linked[system].add(native)
            row = rows[system][mapping.object].get(native)
            if (row is not None) != alive:
                yield f"{system} {native}: {'gone' if row is None else 'there'}, but its link says otherwise"
            elif row is not None and ended and mapping.on_delete != "keep":
                yield from _not_ended(mapping, row, f"{system} {native}")
            elif row is not None and native == primary:
                pointed = {
                    column: whose.get((system, str(row[column])), row[column])
                    for name in entity.references
                    if (column := mapping.fields.get(name)) is not None and row.get(column) is not None
                }
                told = {**row, **pointed}
                yield from _differences(mapping, translation, golden["fields"], told, f"{system} {native}")


def _ended(entity: EntityMapping, links: Mapping[str, Mapping[str, bool]]) -> bool:
    """Was it deleted where deletes count, and nowhere taken back? Where they count in several systems, in all of them."""
    told = [links[system].values() for system in (entity.deletes.of if entity.deletes else ()) if links.get(system)]
    return bool(told) and not any(alive for natives in told for alive in natives)


def _not_ended(mapping: SystemMapping, row: Mapping[str, Any], whose: str) -> Iterable[str]:
    """What an ended record's row should be by its policy, and is not."""
    if mapping.on_delete == "delete":
        yield f"{whose} is there, and was to be deleted"
    if mapping.on_delete == "unlink" and row.get(mapping.external_id):
        yield f"{whose} bears our id still"
    for column, value in mapping.inactive.items() if mapping.on_delete == "deactivate" else ():
        if row.get(column) != value:
            yield f"{whose} is not inactive: {column} is {row.get(column)!r}"


def _differences(
    mapping: SystemMapping,
    translation: Translation | None,
    golden: Mapping[str, Any],
    row: Mapping[str, Any],
    whose: str,
) -> Iterable[str]:
    told = {} if translation is None else translation.inward(row, ()).fields
    for name, column in mapping.fields.items():
        if name not in golden or name not in mapping.outward:
            continue
        value, wanted = row.get(column), golden[name]
        if translation is not None and mapping.declared[name].inward:
            value = told.get(name)
        elif translation is not None:
            wanted = translation.outward({name: wanted})[0].get(column)
        if _plain(value) != _plain(wanted):
            yield f"{whose} {column}: {row.get(column)!r} is not {golden[name]!r}"


def _plain(value: Any) -> Any:
    """Values as people compare them: an empty text is nothing, 5 is 5.0 is "5.0" for money."""
    if value in (None, ""):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
