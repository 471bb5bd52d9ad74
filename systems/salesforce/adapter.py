"""Salesforce as a `System`: changes by CometD, reads and writes by REST.

Promises: what systems/protocol.py says; it holds no state but a login, so it may be closed and opened at any time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from isthmus.config.errors import PermanentError, PlatformError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.protocol import Delivery, Finding, Row, Write, Written
from isthmus.systems.salesforce import checks, records, stream
from isthmus.systems.salesforce.session import SalesforceConfig, Session
from isthmus.systems.singly import singly

__all__ = ["Salesforce", "SalesforceConfig"]


class Salesforce:
    """`objects` are the mappings by the objects' own names."""

    name = "salesforce"

    def __init__(self, config: SalesforceConfig, objects: Mapping[str, SystemMapping]) -> None:
        self._org = Session(config)
        self._objects = objects

    async def open(self) -> None:
        """Connect and log in; AuthError where the login is refused, TransientError where nobody answers."""
        await self._org.open()

    async def close(self) -> None:
        """Give the connections back; safe to call twice."""
        await self._org.close()

    def changes(self, position: str | None) -> AsyncIterator[Delivery]:
        """Deliveries after `position`, a replay id as text, for ever; ReplayLost where the org has forgotten it."""
        return stream.follow(self._org, position)

    async def read(self, object: str, record_ids: Sequence[str]) -> list[Row]:
        """The mapped columns now, one Row an id; versions are None. PermanentError where nothing is mapped."""
        return await records.read(self._org, self._mapping(object), record_ids)

    async def scan(self, object: str, since: str | None = None) -> AsyncIterator[Row]:
        """Not built yet."""
        raise PermanentError(f"salesforce {object} cannot be scanned yet", code="UNSUPPORTED")
        yield

    async def provision(self, apply: bool) -> list[Finding]:
        """Not built yet."""
        raise PermanentError("salesforce cannot be provisioned yet", code="UNSUPPORTED")

    async def write(self, writes: Sequence[Write]) -> list[Written | PlatformError]:
        """Update by id, else upsert by external id; the version that comes back is None."""
        return await singly(self._write, writes)

    async def _write(self, write: Write) -> Written:
        return await records.write(self._org, self._mapping(write.object), write)

    async def check(self) -> list[Finding]:
        """Login, objects, fields, change events; never raises."""
        return await checks.check(self._org, self._objects)

    def _mapping(self, object: str) -> SystemMapping:
        try:
            return self._objects[object]
        except KeyError:
            raise PermanentError(f"salesforce {object} is not mapped", code="UNMAPPED") from None
