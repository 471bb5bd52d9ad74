"""`isthmus identity`: orders about who is who, given through the door of a running worker.

Promises: 0 the order is on Kafka, its id on stdout; 1 no worker took it, 2 it was given wrongly.
"""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.config.errors import ConfigError
from isthmus.config.settings import Settings
from isthmus.node.door import Door, myself, printed, through


def run_identity(settings: Settings, entity: str, action: str, records: Sequence[str], by: str, why: str) -> int:
    """Order it; the exit code."""
    told = [native(record) for record in records]

    async def work(door: Door) -> int:
        body = {"action": action, "records": told, "by": by or myself(), "why": why}
        printed(await door.post(f"/v1/identity/{entity}", body))
        return 0

    return through(settings, work)


def native(record: str) -> dict[str, str]:
    """A record that is written as system:id. ConfigError where it is not."""
    system, _, native_id = record.partition(":")
    if not system or not native_id:
        raise ConfigError(f"{record}: names no record", hint="write system:id, e.g. salesforce:0015g00000XyzAAA")
    return {"system": system, "native_id": native_id}
