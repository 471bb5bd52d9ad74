"""Dynamics 365 (Dataverse) as a `System`: reads and writes by the Web API; changes come by its change tracking (feed.py),
and sooner as webhooks (webhook.py).

Promises: what systems/protocol.py says; it holds no state but a token, so it may be closed and opened at any time.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

from isthmus.codecs.change import Value
from isthmus.codecs.limits import Limit
from isthmus.config.errors import PlatformError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.describing import Described
from isthmus.systems.dynamics import checks, describe, feed, merging, provision, records, requests, scan
from isthmus.systems.dynamics import writes as writes_
from isthmus.systems.dynamics.session import DynamicsConfig, Session
from isthmus.systems.protocol import Delivery, Finding, Row, Write, Written
from isthmus.systems.versions import Versions

SUPPORTED = Versions("v9.0", "v9.2")

__all__ = ["Dynamics", "DynamicsConfig"]


class Dynamics:
    """`objects` are the mappings by the tables' logical names."""

    name = "dynamics"

    def __init__(self, config: DynamicsConfig, objects: Mapping[str, SystemMapping]) -> None:
        SUPPORTED.need(self.name, config.api_version)
        self._environment = Session(config)
        self._objects = objects

    async def open(self) -> None:
        """Connect and log in; AuthError where the login is refused, TransientError where nobody answers."""
        await self._environment.open()

    async def close(self) -> None:
        """Give the connections back; safe to call twice."""
        await self._environment.close()

    async def changes(self, position: str | None) -> AsyncIterator[Delivery]:
        """What change tracking tells, as records that were read; ends at once where the feed is switched off."""
        seconds = self._environment.config.feed_seconds
        if seconds is None:
            return
        async with contextlib.aclosing(feed.follow(self._environment, self._objects, position, seconds)) as deliveries:
            async for delivery in deliveries:
                yield delivery

    async def read(self, object: str, record_ids: Sequence[str]) -> list[Row]:
        """The mapped columns now, one Row an id, with versions. PermanentError where nothing is mapped."""
        return await records.read(self._environment, self._mapping(object), record_ids)

    async def scan(self, object: str, since: str | None = None) -> AsyncIterator[Row]:
        """Every row now, or those changed since a time; what went since then only where the table is audited (scan.py)."""
        async with contextlib.aclosing(scan.scan(self._environment, self._mapping(object), since)) as rows:
            async for row in rows:
                yield row

    async def write(self, writes: Sequence[Write]) -> list[Written | PlatformError]:
        """Update by id, else upsert by the alternate key; ConflictError where `if_version` is no longer the version."""
        return await writes_.write(self._environment, self._objects, writes)

    async def merge(self, object: str, winner: str, loser: str, fields: Mapping[str, Value]) -> None:
        """Make one row of two, with these values on the winner; only of accounts, contacts, leads and incidents."""
        await merging.merge(self._environment, self._mapping(object), winner, loser, fields)

    async def check(self) -> list[Finding]:
        """Token, application user, tables, columns, alternate keys, webhook and steps, our role; never raises."""
        findings = await checks.check(self._environment, self._objects)
        if not findings[0].ok:
            return findings
        return findings + await provision.compare(self._environment, self._objects)

    async def describe(self, object: str) -> Mapping[str, Described]:
        """What the platform says of an object's fields. PermanentError where nothing is mapped."""
        return await describe.describe(self._environment, self._mapping(object))

    async def provision(self, apply: bool) -> list[Finding]:
        """Column, key and change tracking of each table, the webhook and its steps, our role (provision.py)."""
        await self._environment.open()
        return await provision.provision(self._environment, self._objects, apply)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """What service protection leaves us, as the last answer told; nothing before the first."""
        return self._environment.limits

    def _mapping(self, object: str) -> SystemMapping:
        return requests.mapped(self._objects, object)
