"""Dynamics 365 Finance & Operations as a `System`: reads and writes by OData; changes come as events (events.py).

Promises: what systems/protocol.py says. Besides a token it holds only which creates are in doubt (writes.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from isthmus.config.errors import PermanentError, PlatformError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.describing import Described
from isthmus.systems.operations import checks, describe, provision, records
from isthmus.systems.operations.session import OperationsConfig, Session
from isthmus.systems.operations.writes import Writer
from isthmus.systems.protocol import Delivery, Finding, Row, Write, Written
from isthmus.systems.singly import singly
from isthmus.systems.versions import Versions
from isthmus.systems.waves import waves

# The application's: since 10.0 there is one service, `/data`, without a version in its address (dynamics.md §5.3).
SUPPORTED = Versions("10.0", "10.0")

__all__ = ["Operations", "OperationsConfig"]

AT_ONCE = 8


class Operations:
    """`objects` are the mappings by the data entities' own names, such as SalesOrderHeaderV2Entity."""

    name = "operations"

    def __init__(self, config: OperationsConfig, objects: Mapping[str, SystemMapping]) -> None:
        SUPPORTED.need(self.name, config.api_version)
        self._environment = Session(config)
        self._objects = objects
        self._writer = Writer(self._environment)

    async def open(self) -> None:
        """Connect and log in; AuthError where the login is refused, TransientError where nobody answers."""
        await self._environment.open()

    async def close(self) -> None:
        """Give the connections back; safe to call twice."""
        await self._environment.close()

    async def changes(self, position: str | None) -> AsyncIterator[Delivery]:
        """Ends at once: Finance & Operations sends events, and those are hints."""
        none: tuple[Delivery, ...] = ()
        for delivery in none:
            yield delivery

    async def read(self, object: str, record_ids: Sequence[str]) -> list[Row]:
        """The mapped columns now, one Row an id, with ETags for versions. PermanentError where nothing is mapped."""
        return await records.read(self._environment, self._mapping(object), record_ids)

    async def scan(self, object: str, since: str | None = None) -> AsyncIterator[Row]:
        """Every record of the company as it is now. PermanentError with `since`: nothing in F&O tells what changed."""
        if since is not None:
            raise PermanentError(
                f"operations {object} does not tell what changed since {since}",
                code="UNSUPPORTED",
                hint="scan all of it and compare",
            )
        async for row in records.scan(self._environment, self._mapping(object)):
            yield row

    async def write(self, writes: Sequence[Write]) -> list[Written | PlatformError]:
        """Update by id, else find by our reference and update or create, a few records at once; one answer each, in
        order; what others refer to goes first. ConflictError where `if_version` is no longer the version; TransientError
        `IN_DOUBT` where nobody knows whether a create was carried out, `PARENT_MISSING` where a reference is to nothing."""
        answers: dict[int, Written | PlatformError] = {}
        for wave in waves(writes):
            told = await singly(self._write, [writes[number] for number in wave], AT_ONCE)
            answers.update(zip(wave, told, strict=True))
        return [answers[number] for number in range(len(writes))]

    async def _write(self, write: Write) -> Written:
        named = {
            name: await self._writer.named(self._mapping(to.object), to.external_id)
            for name, to in write.references.items()
        }
        return await self._writer.write(self._mapping(write.object), replace(write, fields={**write.fields, **named}))

    async def check(self) -> list[Finding]:
        """Token, version, legal entity, data entities, columns, keys, reference columns, and what `provision` asks for;
        never raises."""
        findings = await checks.check(self._environment, self._objects)
        if not findings[0].ok:
            return findings
        return findings + await provision.provision(self._environment, self._objects, apply=False)

    async def describe(self, object: str) -> Mapping[str, Described]:
        """What the platform says of an object's fields. PermanentError where nothing is mapped."""
        return await describe.describe(self._environment, self._mapping(object))

    async def provision(self, apply: bool) -> list[Finding]:
        """Data entities and reference columns, which people make; our role and the events that are sent to us, which
        `apply` makes (provision.py)."""
        await self._environment.open()
        findings = await checks.check(self._environment, self._objects)
        return findings + await provision.provision(self._environment, self._objects, apply)

    def _mapping(self, object: str) -> SystemMapping:
        try:
            return self._objects[object]
        except KeyError:
            raise PermanentError(f"operations {object} is not mapped", code="UNMAPPED") from None
