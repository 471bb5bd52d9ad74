"""Several writes as calls of their own, side by side: what an adapter does with few, or has nothing better for.

Promises: one answer each, in order; an error is an answer, also one that nobody foresaw; never more than `at_once` calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from isthmus.config.errors import PermanentError, PlatformError

AT_ONCE = 16

T = TypeVar("T")
R = TypeVar("R")

log = structlog.get_logger()


async def singly(
    do: Callable[[T], Awaitable[R]], items: Sequence[T], at_once: int = AT_ONCE
) -> list[R | PlatformError]:
    """What `do` gives for each, or its error."""
    gate = asyncio.Semaphore(at_once)

    async def one(item: T) -> R | PlatformError:
        async with gate:
            try:
                return await do(item)
            except PlatformError as fault:
                return fault
            except Exception as fault:
                log.exception("a call failed in a way nobody foresaw")
                return unforeseen(fault)

    return await asyncio.gather(*(one(item) for item in items))


def unforeseen(fault: Exception) -> PermanentError:
    """The answer for an error that is a mistake of ours: never tried again by itself."""
    return PermanentError(repr(fault), code="UNEXPECTED", hint="report it with the log's traceback")
