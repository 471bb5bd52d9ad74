"""`isthmus mapping activate`, `history` and `undo`: versions of a mapping, put in force on the running workers.

Promises: how many golden values would be others is counted on all live records before anything is changed, and nothing is
changed unless somebody says yes; what was in force before can be put in force again.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from isthmus.codecs.activation import document_of, mapping_of, version_of
from isthmus.codecs.change import Value
from isthmus.codecs.frames import encode
from isthmus.config.errors import ConfigError, IsthmusError
from isthmus.config.mapping import EntityMapping, Mappings, load_mappings
from isthmus.config.settings import Settings
from isthmus.node.door import Door, NotDone, myself, printed, through
from isthmus.node.mapping_try import NOTES, records
from isthmus.node.recovery import changelog_reader
from isthmus.node.topics import Topics
from isthmus.tables.golden import GOLDEN, Golden
from isthmus.tables.precedence import same
from isthmus.tables.reevaluation import given_up, reevaluate

SHOWN = 10


@dataclass(slots=True)
class Counted:
    """What a version would change: golden `records` of the entity, how many of them would differ in a value, and how many
    values of each field. `lost`: by field and canonical id, what the version that is in force now took the place of and
    this one does not bring back."""

    entity: str
    version: str
    records: int = 0
    differing: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    lost: dict[str, dict[str, Value]] = field(default_factory=dict)

    def count(self, golden: Golden, mapping: EntityMapping, in_force: str) -> None:
        """One golden record more, which is used up."""
        before = given_up(golden, in_force)
        folded = reevaluate(golden, mapping, self.version, "")
        changed = folded.event.body.changed if folded.event else {}
        self.records += 1
        self.differing += bool(changed)
        self.fields.update(changed)
        self.writes.update(write.system for write in folded.writes)
        for name, value in before.items():
            if not same(value, folded.state.value(name)):
                self.lost.setdefault(name, {})[golden.canonical] = value

    def told(self) -> dict[str, Any]:
        """Its JSON."""
        names = ("entity", "version", "records", "differing")
        told = {name: getattr(self, name) for name in names}
        return {**told, "fields": self.fields, "writes": self.writes, "lost": self.lost}


def run_activate(settings: Settings, folder: Path, why: str, *, yes: bool, as_json: bool) -> int:
    """Show what the folder's mappings would change, ask, and put those in force that are not."""
    return through(settings, lambda door: _activate(door, settings, load_mappings(folder), why, yes, as_json))


def run_undo(settings: Settings, entity: str, why: str, *, yes: bool, as_json: bool) -> int:
    """Put in force what was before the last activation of an entity."""

    async def work(door: Door) -> int:
        known = await door.get(f"/v1/mappings/{entity}", {})
        before = _before(known)
        return await _activate(door, settings, Mappings([before]), why or "undo", yes, as_json)

    return through(settings, work)


def run_history(settings: Settings, entities: Sequence[str], *, as_json: bool) -> int:
    """The versions of these entities' mappings; of all that the files have where none is named."""

    async def work(door: Door) -> int:
        names = entities or list(load_mappings(*_folder(settings)).entities)
        known = [await door.get(f"/v1/mappings/{name}", {}) for name in names]
        if as_json:
            printed(known)
        else:
            _show(known)
        return 0

    return through(settings, work)


def _folder(settings: Settings) -> tuple[Path, ...]:
    return () if settings.entities_dir is None else (settings.entities_dir,)


def _before(known: dict[str, Any]) -> EntityMapping:
    versions = [known["document"], *(one["document"] for one in known["history"])]
    others = [one for one in versions if version_of(one) != known["in_force"]]
    if not others:
        raise ConfigError(f"{known['entity']}: no other version was ever in force", hint="isthmus mapping history")
    return mapping_of(others[-1])


async def _activate(door: Door, settings: Settings, mappings: Mappings, why: str, yes: bool, as_json: bool) -> int:
    wanted: list[EntityMapping] = []
    in_force: dict[str, str] = {}
    for name, told in mappings.entities.items():
        known = await door.get(f"/v1/mappings/{name}", {})
        # The node may not talk to every system that a file speaks of.
        (mapping,) = Mappings([told]).joining(mapping_of(known["document"]).systems).entities.values()
        if version_of(document_of(mapping)) != known["in_force"]:
            wanted.append(mapping)
            in_force[name] = known["in_force"]
    counted = await _counted(settings, wanted, in_force)
    if not as_json:
        _tell(counted)
    if wanted and not yes and not _agreed():
        raise NotDone("nothing was changed", hint="--yes says yes beforehand")
    by = myself()
    for mapping in wanted:
        await door.post(f"/v1/mappings/{mapping.entity}", {"document": document_of(mapping), "by": by, "why": why})
    if as_json:
        printed([one.told() for one in counted])
    else:
        print(
            "\n".join(f"{one.entity}: {one.version} is ordered" for one in counted) or "all of it is in force already"
        )
    return 0


def _agreed() -> bool:
    if not sys.stdin.isatty():
        return False
    return Console(stderr=True).input("Put it in force? [y/N] ").strip().lower() in ("y", "yes")


# -- what would be otherwise


async def _counted(settings: Settings, mappings: Sequence[EntityMapping], in_force: Mapping[str, str]) -> list[Counted]:
    """Every live golden record by these versions; `in_force`: by entity, the version that decides now."""
    found = {one.entity: Counted(one.entity, version_of(document_of(one))) for one in mappings}
    if not found:
        return []
    try:
        held = await _latest(settings, frozenset(found))
    except KafkaError as fault:
        raise IsthmusError(f"{settings.kafka.bootstrap}: {fault}", hint="is this the Kafka of the node?") from None
    by_entity = {one.entity: one for one in mappings}
    for raw in held.values():
        golden = GOLDEN.decode(raw)
        counted = found[golden.entity]
        counted.count(golden, by_entity[golden.entity], in_force[golden.entity])
        if counted.records % 500 == 0:
            await asyncio.sleep(0)
    return list(found.values())


async def _latest(settings: Settings, entities: frozenset[str]) -> dict[bytes, bytes]:
    """The newest state of every golden record of these entities."""
    topics = Topics(settings.node.namespace, settings.node.partitions)
    consumer = changelog_reader(settings.kafka.bootstrap)
    held: dict[bytes, bytes] = {}
    await consumer.start()
    try:
        with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task("reading golden records", total=None)
            async for record in records(consumer, topics, topics.changelog(GOLDEN.name)):
                progress.advance(task)
                if record.key is None or record.key.startswith(NOTES):
                    continue
                if record.value is not None and GOLDEN.decode(record.value).entity in entities:
                    held[record.key] = record.value
                else:
                    held.pop(record.key, None)
    finally:
        await consumer.stop()
    return held


# -- on a terminal


def _tell(counted: Sequence[Counted]) -> None:
    for one in counted:
        print(f"{one.entity} {one.version}: {one.differing} of {one.records} golden records would differ")
        for name, number in sorted(one.fields.items()):
            print(f"  {name}: {number} values")
        for system, number in sorted(one.writes.items()):
            print(f"  {number} writes to {system}")
        for name, values in sorted(one.lost.items()):
            print(
                f"  {name}: {len(values)} values do not come back, since our writes have replaced them where they were said"
            )
            for canonical, value in sorted(values.items())[:SHOWN]:
                print(f"    isthmus review pin-field {one.entity} {canonical} {name} {quote(encode(value).decode())}")
            if len(values) > SHOWN:
                print(f"    and {len(values) - SHOWN} more: --json tells all")


def _show(known: Sequence[dict[str, Any]]) -> None:
    table = Table(box=None, header_style="bold")
    for name in ("entity", "version", "at", "by", "why", ""):
        table.add_column(name)
    for one in known:
        versions = [{"version": one["files"], "at": "", "by": "the files", "why": ""}, *one["history"]]
        for number, version in enumerate(versions):
            last = number == len(versions) - 1
            told = [str(version[name]) for name in ("version", "at", "by", "why")]
            table.add_row(one["entity"], *told, "in force" if last else "")
    Console().print(table)
