"""How many requests go at once, and when none may."""

from __future__ import annotations

import asyncio

import pytest

from isthmus.config.errors import TransientError
from isthmus.systems.dynamics.throttle import SUCCESSES_FOR_ONE_MORE, Throttle

NUMBER, TIME, AT_ONCE = "0x80072322", "0x80072321", "0x80072326"


class Clock:
    """Time that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(4, clock)


@pytest.mark.parametrize(("code", "allowed"), [(NUMBER, 4), (TIME, 2), (AT_ONCE, 2)])
def test_too_long_or_too_many_at_once_makes_fewer_go_at_once(throttle: Throttle, code: str, allowed: int) -> None:
    throttle.refused(code, 1)
    assert throttle.allowed == allowed


def test_there_is_always_one_and_more_again_as_they_succeed(throttle: Throttle) -> None:
    for _ in range(9):
        throttle.refused(AT_ONCE, None)
    assert throttle.allowed == 1
    for _ in range(SUCCESSES_FOR_ONE_MORE * 9):
        throttle.accepted()
    assert throttle.allowed == 4


async def test_no_more_than_allowed_go_at_once(throttle: Throttle) -> None:
    for _ in range(4):
        await throttle.enter()
    fifth = asyncio.create_task(throttle.enter())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not fifth.done()
    await throttle.leave()
    await asyncio.wait_for(fifth, 5)


async def test_one_refusal_stops_nobody_two_in_a_row_do_and_a_success_between_them_counts(
    throttle: Throttle, clock: Clock
) -> None:
    throttle.refused(NUMBER, 30)
    await throttle.enter()
    throttle.accepted()
    throttle.refused(NUMBER, 30)
    await throttle.enter()
    throttle.refused(NUMBER, 20)
    with pytest.raises(TransientError) as caught:
        await throttle.enter()
    assert caught.value.retry_after == 30.0, "the longer of the two"
    clock.now += 30
    await throttle.enter()
