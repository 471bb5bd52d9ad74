"""Ending tasks for sure: one cancellation may be swallowed on its way, and whoever waits would wait for ever.

Promises: returns when every task has ended, however it ended. (`asyncio.wait_for` swallows a cancellation that comes with
its result, until Python 3.12; so do libraries that end something of their own at the time.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

# Long enough for what a task does to leave things in order.
AGAIN_SECONDS = 5.0


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel these, again and again, until they have ended."""
    waiting = {task for task in tasks if not task.done()}
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=AGAIN_SECONDS)
