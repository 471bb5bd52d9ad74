"""Calls side by side: all of them answered, in order, and not without bound."""

from __future__ import annotations

import asyncio

from isthmus.config.errors import PlatformError, TransientError
from isthmus.systems.singly import singly


async def test_every_call_has_its_answer_in_order_whatever_the_others_do() -> None:
    async def half(number: int) -> float:
        await asyncio.sleep(0 if number % 2 else 0.001)
        if number == 3:
            raise TransientError("busy")
        return 10 / number

    one, two, three, none = await singly(half, [1, 2, 3, 0])
    assert (one, two) == (10.0, 5.0)
    assert isinstance(three, TransientError)
    assert isinstance(none, PlatformError)
    assert (none.code, none.retryable) == ("UNEXPECTED", False)


async def test_they_run_side_by_side_but_not_without_bound() -> None:
    busy = busiest = 0

    async def work(_: int) -> None:
        nonlocal busy, busiest
        busy += 1
        busiest = max(busiest, busy)
        await asyncio.sleep(0)
        busy -= 1

    await singly(work, range(60), at_once=7)
    assert busiest == 7
