"""A shelf (store.py) as a `System`: the whole adapter, and what its package declares.

Promises: what systems/protocol.py says. It holds no state, so it may be closed and opened at any time.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from isthmus.codecs.change import Change
from isthmus.config.errors import ConflictError, DecodeError, PermanentError, PlatformError, ReplayLost, TransientError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.platform import Platform
from isthmus.systems.protocol import Delivery, Finding, Row, Write, Written
from isthmus.systems.singly import singly
from isthmus.systems.waves import waves
from shelf import store

US = "isthmus"


class ShelfSettings(BaseModel):
    """`platforms.shelf`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path
    every: float = Field(default=1.0, gt=0, description="Seconds between two looks at the log.")


class Shelf:
    """`objects` are the mappings by the objects' own names."""

    name = "shelf"

    def __init__(self, settings: ShelfSettings, objects: Mapping[str, SystemMapping]) -> None:
        self._shelf, self._every, self._objects = settings.folder, settings.every, objects

    async def open(self) -> None:
        """TransientError where there is no such folder now."""
        if not self._shelf.is_dir():
            raise TransientError(f"there is no folder {self._shelf}", hint="mount it")

    async def close(self) -> None:
        """Nothing is held."""

    async def changes(self, position: str | None) -> AsyncIterator[Delivery]:
        """The log's lines after `position`, a line's number; None: from now on; `-2`: all there are."""
        last = sum(1 for _ in store.log(self._shelf, 0))
        at = last if position is None else max(int(position), 0)
        if at > last:
            raise ReplayLost(f"the log has {last} lines and not {at}", hint="another shelf? read all of it again")
        while True:
            for number, line in store.log(self._shelf, at):
                at = number
                yield _delivery(number, line.encode())
            await asyncio.sleep(self._every)

    async def read(self, object: str, record_ids: Sequence[str]) -> list[Row]:
        """The mapped columns now."""
        mapping = self._mapping(object)
        return [self._row(mapping, record_id) for record_id in dict.fromkeys(record_ids)]

    async def scan(self, object: str, since: str | None = None) -> AsyncIterator[Row]:
        """Every record; PermanentError with `since`: the log is not dated."""
        if since is not None:
            raise PermanentError("a shelf does not tell what changed since a time", code="UNSUPPORTED")
        mapping = self._mapping(object)
        for record_id in store.ids(self._shelf, object):
            yield self._row(mapping, record_id)

    async def write(self, writes: Sequence[Write]) -> list[Written | PlatformError]:
        """Update by id, else upsert by the external id, one after another; what others refer to goes first."""
        answers: dict[int, Written | PlatformError] = {}
        for wave in waves(writes):
            told = await singly(self._write, [writes[number] for number in wave], at_once=1)
            answers.update(zip(wave, told, strict=True))
        return [answers[number] for number in range(len(writes))]

    async def check(self) -> list[Finding]:
        """Is the folder there, and may it be written?"""
        try:
            await self.open()
        except PlatformError as fault:
            return [Finding("folder", False, str(fault), fault.hint)]
        return [Finding("folder", True, f"{self._shelf} is there"), *await self.provision(apply=False)]

    async def provision(self, apply: bool) -> list[Finding]:
        """A folder for every object."""
        for name in self._objects if apply else ():
            (self._shelf / name).mkdir(exist_ok=True)
        hint = "isthmus provision --apply"
        there = {name: (self._shelf / name).is_dir() for name in self._objects}
        return [Finding(name, ok, "is there" if ok else "is missing", "" if ok else hint) for name, ok in there.items()]

    async def _write(self, write: Write) -> Written:
        mapping = self._mapping(write.object)
        if write.delete and write.record_id:
            return self._delete(write, write.record_id)
        fields = {
            **write.fields,
            **{name: self._named(to.object, to.external_id) for name, to in write.references.items()},
        }
        known = write.record_id or self._find(mapping, write.external_id)
        if write.record_id is None:
            fields[mapping.external_id] = write.external_id
        record_id = known or uuid.uuid4().hex
        before = store.get(self._shelf, write.object, record_id)
        if known and before is None:
            raise ConflictError(f"there is no {write.object} {record_id}")
        if write.if_version and before and _version(before) != write.if_version:
            raise ConflictError(f"{write.object} {record_id} has another version")
        changed = before is None or any(before.get(name) != value for name, value in fields.items())
        version = store.put(self._shelf, write.object, record_id, fields, US) if changed else (before or {})["version"]
        return Written(record_id, _version({"version": version}), created=not known)

    def _delete(self, write: Write, record_id: str) -> Written:
        """What is not there any more was deleted."""
        before = store.get(self._shelf, write.object, record_id)
        if before and write.if_version and _version(before) != write.if_version:
            raise ConflictError(f"{write.object} {record_id} has another version")
        if before:
            store.remove(self._shelf, write.object, record_id, US)
        return Written(record_id, None, created=False)

    def _find(self, mapping: SystemMapping, external_id: str) -> str | None:
        for record_id in store.ids(self._shelf, mapping.object):
            if (store.get(self._shelf, mapping.object, record_id) or {}).get(mapping.external_id) == external_id:
                return record_id
        return None

    def _named(self, object: str, external_id: str) -> str:
        found = self._find(self._mapping(object), external_id)
        if found is None:
            raise TransientError(f"no {object} has the external id {external_id} yet", code="PARENT_MISSING")
        return found

    def _row(self, mapping: SystemMapping, record_id: str) -> Row:
        found = store.get(self._shelf, mapping.object, record_id)
        if found is None:
            return Row(record_id, exists=False, fields={})
        return Row(record_id, True, {name: found.get(name) for name in mapping.columns}, _version(found))

    def _mapping(self, object: str) -> SystemMapping:
        if object not in self._objects:
            raise PermanentError(f"shelf {object} is not mapped", code="UNMAPPED")
        return self._objects[object]


def _version(record: Mapping[str, Any]) -> str:
    """Sorts as the numbers do."""
    return f"{record['version']:020}"


def _delivery(number: int, line: bytes) -> Delivery:
    """A line as changes; one that is not understood is a dead letter, and the stream goes on."""
    try:
        return Delivery((_change(number, orjson.loads(line)),), str(number), line)
    except (ValueError, KeyError, TypeError) as fault:
        return Delivery((), str(number), line, DecodeError(f"no line of a log: {fault!r}", place=f"line {number}"))


def _change(number: int, told: Mapping[str, Any]) -> Change:
    return Change(
        system=Shelf.name,
        entity=told["object"],
        record_id=told["id"],
        operation=told["operation"],
        fields={name: value for name, value in told["fields"].items() if value is not None},
        cleared=tuple(name for name, value in told["fields"].items() if value is None),
        version=_version({"version": number}),
        changed_at=None,
        transaction=None,
        origin=told["by"],
        change_id=f"shelf:{number}",
    )


def _built(settings: Mapping[str, Any], objects: Mapping[str, SystemMapping]) -> Shelf:
    return Shelf(ShelfSettings.model_validate(settings), objects)


PLATFORM = Platform(_built, row_versions="ordered")
