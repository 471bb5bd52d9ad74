"""Salesforce as a `System`: changes by the Pub/Sub API or CometD, reads and writes by REST.

Promises: what systems/protocol.py says; it holds no state but a login, so it may be closed and opened at any time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import replace

from isthmus.codecs.limits import Limit
from isthmus.config.errors import PermanentError, PlatformError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.describing import Described
from isthmus.systems.protocol import Delivery, Finding, Row, Write, Written
from isthmus.systems.salesforce import checks, describe, gone, lost, overflow, provision, records, scan, stream, write
from isthmus.systems.salesforce.position import Known, everything
from isthmus.systems.salesforce.pubsub import Schemas
from isthmus.systems.salesforce.session import SalesforceConfig, Session
from isthmus.systems.salesforce.task import TASK
from isthmus.systems.versions import Versions

# Composite Graph came with 50.0; newer than 66.0 was never seen here (salesforce.md §4.5).
SUPPORTED = Versions("50.0", "66.0")

__all__ = ["Salesforce", "SalesforceConfig"]


class Salesforce:
    """`objects` are the mappings by the objects' own names."""

    name = "salesforce"

    def __init__(self, config: SalesforceConfig, objects: Mapping[str, SystemMapping]) -> None:
        SUPPORTED.need(self.name, config.api_version)
        self._org = Session(config)
        self._objects = objects
        self._schemas = Schemas()

    async def open(self) -> None:
        """Connect and log in; AuthError where the login is refused, TransientError where nobody answers."""
        await self._org.open()

    async def close(self) -> None:
        """Give the connections back; safe to call twice."""
        await self._org.close()

    def changes(self, position: str | None) -> AsyncIterator[Delivery]:
        """Deliveries after `position`, for ever. What an overflow hides, and what may have changed after a place that the
        org has forgotten, comes as reads; ReplayLost where it is another org's place."""
        return lost.healed(self._follow, position, self._again, self.scan, self._objects)

    def _follow(self, position: str | None) -> AsyncGenerator[Delivery, None]:
        followed = stream.follow(self._org, position, self._schemas)
        return overflow.opened(followed, position, self.scan, self._objects)

    def _again(self, known: Known) -> str:
        return str(everything(stream.transport(self._org.config), self._org.config.channels, known))

    async def read(self, object: str, record_ids: Sequence[str]) -> list[Row]:
        """The mapped columns now, one Row an id; versions are None. What is not there is `sure` where it was deleted, and
        not only hidden from us. PermanentError where nothing is mapped."""
        mapping = self._mapping(object)
        rows = await records.read(self._org, mapping, record_ids)
        missing = [row.record_id for row in rows if not row.exists]
        deleted = await gone.confirmed(self._org, mapping, missing) if missing else {}
        return [row if row.exists else _gone(row, deleted) for row in rows]

    def scan(self, object: str, since: str | None = None) -> AsyncIterator[Row]:
        """Every row, or those changed or deleted since; versions are None. ReplayLost where deletions are not told."""
        return scan.scan(self._org, self._mapping(object), since)

    async def write(self, writes: Sequence[Write]) -> list[Written | PlatformError]:
        """Update by id, else upsert by external id; the versions that come back are None."""
        return await write.write(self._org, {TASK.object: TASK, **self._objects}, writes)

    async def check(self) -> list[Finding]:
        """Login, objects, fields, change events; never raises."""
        return await checks.check(self._org, self._objects)

    async def describe(self, object: str) -> Mapping[str, Described]:
        """What the platform says of an object's fields. PermanentError where nothing is mapped."""
        return await describe.describe(self._org, self._mapping(object))

    async def provision(self, apply: bool) -> list[Finding]:
        """Key fields, rights and change events of every mapped object; never raises for what the org refuses."""
        return await provision.provision(self._org, self._objects, apply)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """How much of the org's daily API calls is used, as the last answer told; nothing before the first."""
        return self._org.limits

    def _mapping(self, object: str) -> SystemMapping:
        try:
            return self._objects[object]
        except KeyError:
            raise PermanentError(f"salesforce {object} is not mapped", code="UNMAPPED") from None


def _gone(row: Row, deleted: Mapping[str, str | None]) -> Row:
    key = row.record_id[:15]
    return replace(row, sure=key in deleted, merged_into=deleted.get(key))
