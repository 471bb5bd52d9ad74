"""`isthmus mapping try`: recorded changes through an edited mapping, and which golden values would be others.

Promises: reads Kafka and nothing else, and writes nothing anywhere, nor joins a consumer group; what is shown is what the
changes of the time told, beside the golden records as they are now.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from isthmus.codecs.arrival import Arrival
from isthmus.codecs.change import Change
from isthmus.codecs.frames import Elements
from isthmus.codecs.translation import Translation
from isthmus.config.errors import ConfigError, DecodeError, IsthmusError
from isthmus.config.mapping import Mappings, load_mappings
from isthmus.config.settings import Settings
from isthmus.node.recovery import changelog_reader
from isthmus.node.topics import Topics
from isthmus.tables.golden import GOLDEN, Golden
from isthmus.tables.retelling import Difference, retell

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SHOWN = 20
ARRIVALS = Elements(Arrival)
# The lane's own notes in a changelog begin so; no golden record's key does.
NOTES = b"\xff"

Native = tuple[str, str]
Changes = dict[Native, list[Change]]


@dataclass(slots=True)
class Trial:
    """What would be otherwise. `changes` were looked at, of so many golden `records`; `unknown` belong to none, as what is
    under way or dead. `refused`: values of which the mapping makes nothing."""

    changes: int = 0
    records: int = 0
    unknown: int = 0
    differences: list[Difference] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)


def seconds_of(since: str) -> float:
    """`90s`, `30m`, `1h`, `2d` in seconds; ConfigError for anything else."""
    found = re.fullmatch(r"(\d+)([smhd])", since)
    if found is None:
        raise ConfigError(f"--since {since}: is no time", hint="write 30m, 1h or 2d")
    return float(found[1]) * UNITS[found[2]]


def run_mapping_try(settings: Settings, folder: Path, since: str, *, as_json: bool = False) -> int:
    """Try, print, and 0; differences are what was asked for and no fault."""
    seconds = seconds_of(since)
    try:
        trial = asyncio.run(mapping_try(settings, load_mappings(folder), time.time() - seconds))
    except KafkaError as fault:
        raise IsthmusError(f"{settings.kafka.bootstrap}: {fault}", hint="is this the Kafka of the node?") from None
    sys.stdout.write(f"{orjson.dumps(asdict(trial)).decode()}\n" if as_json else "".join(_lines(trial)))
    return 0


async def mapping_try(settings: Settings, mappings: Mappings, since: float) -> Trial:
    """The changes recorded since a time (seconds since 1970) by these mappings."""
    topics = Topics(settings.node.namespace, settings.node.partitions)
    consumer = changelog_reader(settings.kafka.bootstrap)
    await consumer.start()
    try:
        changes = await _changes(consumer, topics, mappings, since)
        goldens = await _goldens(consumer, topics, changes)
    finally:
        await consumer.stop()
    return _tried(changes, goldens, mappings)


# -- what was recorded


async def _changes(consumer: AIOKafkaConsumer, topics: Topics, mappings: Mappings, since: float) -> Changes:
    """What was taken in since then, by record; gaps told nothing."""
    found: Changes = {}
    for system in sorted({name for entity in mappings.entities.values() for name in entity.systems}):
        async for record in records(consumer, topics, topics.topic(f"changes.{system}"), since):
            for arrival in _arrivals(record):
                change = arrival.change
                if change.operation not in ("gap", "overflow") and mappings.of_object(system, change.entity):
                    found.setdefault((system, change.record_id), []).append(change)
    return found


def _arrivals(record: ConsumerRecord) -> list[Arrival]:
    try:
        elements = ARRIVALS.decode(record.value, "changes")
    except DecodeError:
        return []  # a dead letter already
    return [one for one in elements if isinstance(one, Arrival) and not one.swept]


async def _goldens(consumer: AIOKafkaConsumer, topics: Topics, changes: Changes) -> dict[bytes, Golden]:
    """The golden records that these changes belong to, as they are now."""
    found: dict[bytes, Golden] = {}
    async for record in records(consumer, topics, topics.changelog(GOLDEN.name)):
        if record.key is None or record.key.startswith(NOTES):
            continue
        golden = None if record.value is None else GOLDEN.decode(record.value)
        if golden is not None and any(native in changes for native in _natives(golden)):
            found[record.key] = golden
        else:
            found.pop(record.key, None)
    return found


def _natives(golden: Golden) -> list[Native]:
    return [(system, native) for system, natives in golden.living.items() for native in natives]


async def records(
    consumer: AIOKafkaConsumer, topics: Topics, topic: str, since: float | None = None
) -> AsyncIterator[ConsumerRecord]:
    """The committed records of a topic, to where it ends now; none where there is no such topic."""
    if topic not in await consumer.topics():
        return
    parts = [TopicPartition(topic, number) for number in range(topics.partitions)]
    consumer.assign(parts)
    ends = await consumer.end_offsets(parts)
    starts = await consumer.beginning_offsets(parts)
    if since is not None:
        later = await consumer.offsets_for_times(dict.fromkeys(parts, int(since * 1000)))
        starts = {part: ends[part] if (at := later.get(part)) is None else at.offset for part in parts}
    for part in parts:
        consumer.seek(part, starts[part])
    waiting = [part for part in parts if starts[part] < ends[part]]
    while waiting:
        for records in (await consumer.getmany(*waiting, timeout_ms=100, max_records=5000)).values():
            for record in records:
                yield record
        waiting = [part for part in waiting if await consumer.position(part) < ends[part]]


# -- what would be otherwise


def _tried(changes: Changes, goldens: Mapping[bytes, Golden], mappings: Mappings) -> Trial:
    trial = Trial(changes=sum(map(len, changes.values())))
    ways = {name: {s: Translation(one, s) for s in one.systems} for name, one in mappings.entities.items()}
    left = dict(changes)
    for golden in goldens.values():
        told = [change for native in _natives(golden) for change in left.pop(native, ())]
        entity = mappings.entities.get(golden.entity)
        if entity is None or not told:
            continue
        trial.records += 1
        retold = retell(golden, told, entity, ways[golden.entity])
        trial.differences += retold.differences
        for fault in retold.refused:
            told_of = {"entity": golden.entity, "canonical": golden.canonical, "system": fault.system}
            trial.refused.append({**told_of, "field": fault.field, "value": fault.value, "reason": str(fault)})
    trial.unknown = sum(map(len, left.values()))
    return trial


def _lines(trial: Trial) -> list[str]:
    head = f"{trial.changes} changes of {trial.records} golden records; {trial.unknown} belong to no golden record\n"
    fields = Counter((one.entity, one.field) for one in trial.differences)
    refusals = Counter((one["entity"], one["field"]) for one in trial.refused)
    lines = [head, *([] if fields or refusals else ["no golden value would differ\n"])]
    for (entity, name), number in sorted(fields.items()):
        lines.append(f"{entity}.{name}: {number} golden values would differ\n")
        some = [one for one in trial.differences if (one.entity, one.field) == (entity, name)]
        lines += [f"  {one.canonical}: {one.before!r} -> {one.after!r} ({one.rule})\n" for one in some[:SHOWN]]
        lines += _more(some)
    for (entity, name), number in sorted(refusals.items()):
        lines.append(f"{entity}.{name}: {number} values would be refused\n")
        none = [one for one in trial.refused if (one["entity"], one["field"]) == (entity, name)]
        lines += [f"  {one['canonical']}: {one['reason']}\n" for one in none[:SHOWN]]
        lines += _more(none)
    return lines


def _more(some: Sequence[object]) -> list[str]:
    return [f"  and {len(some) - SHOWN} more (--json shows all)\n"] if len(some) > SHOWN else []
