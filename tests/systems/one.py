"""One write as most tests want it: its answer, or its error raised."""

from __future__ import annotations

from isthmus.config.errors import PlatformError
from isthmus.systems.protocol import System, Write, Written


async def write_one(system: System, write: Write) -> Written:
    """The answer to this write alone."""
    (answer,) = await system.write([write])
    if isinstance(answer, PlatformError):
        raise answer
    return answer
