"""The feed: a platform made of generated deliveries, whose writes are answered and change nothing.

Promises: `changes` tells no more than the gate lets through, and goes on after any position. A write is answered with the
record's id, without a version. So the report teaches merge that the record exists and settles the intent, but no field:
a register filled by a write would compete with generated versions, and the golden values would depend on when the write
was made. A record that a write creates gets the id under which the generator tells of the same match key, so that links
come out the same whether the creation or the write was first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from chaos.generator import MAPPINGS, MATCH, Deliveries, native_id
from isthmus.config.errors import PlatformError, TransientError
from isthmus.systems.protocol import Delivery, Finding, Row, Write, Written
from isthmus.systems.singly import singly

GATE_SECONDS = 0.02


class Feed:
    """`gate()` is how many deliveries may be told by now; `pause()` how long a write takes, in seconds."""

    def __init__(self, told: Deliveries, gate: Callable[[], int], pause: Callable[[], float] = lambda: 0.0) -> None:
        self.name = told.system
        self._told = told
        self._gate = gate
        self._pause = pause

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def changes(self, position: str | None) -> AsyncIterator[Delivery]:
        """What the gate lets through after a position; a negative one is the beginning."""
        at = max(0, int(position or "-1") + 1)
        while True:
            for index in range(at, min(self._gate(), len(self._told))):
                yield self._told[index]
                at = index + 1
            await asyncio.sleep(GATE_SECONDS)

    async def read(self, object: str, record_ids: Sequence[str]) -> list[Row]:
        """Nothing here asks for a read."""
        return [Row(record_id, False, {}) for record_id in record_ids]

    async def scan(self, object: str, since: str | None = None) -> AsyncIterator[Row]:
        """Nothing here asks for all."""
        for row in await self.read(object, ()):
            yield row

    async def write(self, writes: Sequence[Write]) -> list[Written | PlatformError]:
        """Carry them out: the ids, and no versions."""
        return await singly(self._write, writes)

    async def _write(self, write: Write) -> Written:
        if seconds := self._pause():
            await asyncio.sleep(seconds)
        return Written(write.record_id or self._new(write), None, created=write.record_id is None)

    def _new(self, write: Write) -> str:
        mapping = MAPPINGS.of_object(self.name, write.object)
        assert mapping is not None
        column = mapping.systems[self.name].fields[MATCH[mapping.entity]]
        if column not in write.fields:  # an update came before what made its record: there is more to come
            raise TransientError(f"a {write.object} needs its {column}", code="INCOMPLETE", of_record=True)
        return native_id(self.name, str(write.fields[column]))

    async def check(self) -> list[Finding]:
        """Nothing to find."""
        return []

    async def provision(self, apply: bool) -> list[Finding]:
        """Nothing to make."""
        return []
