"""What waits for a lane: how much, and who is told to wait."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from isthmus.node.waiting import WAITING_BYTES, WAITING_RECORDS, Waiting


def record(size: int = 10) -> Any:
    """One of so many bytes."""
    return SimpleNamespace(message=SimpleNamespace(value=b"x" * size))


async def test_a_lane_that_waits_for_nobody_makes_who_brings_more_wait() -> None:
    waiting = Waiting()
    for _ in range(WAITING_RECORDS):
        assert not waiting.high(lambda: None)
        waiting.put_nowait(record())
    assert waiting.full()
    assert not waiting.high(lambda: None)


async def test_a_patient_lane_asks_in_time_that_no_more_is_fetched_and_says_when_it_has_room() -> None:
    waiting, relieved = Waiting(patient=True), list[int]()
    for _ in range(WAITING_RECORDS):
        assert not waiting.high(lambda: None)
        waiting.put_nowait(record())
    assert waiting.high(lambda: relieved.append(waiting.qsize()))
    for _ in range(10 * WAITING_RECORDS):  # what was fetched already finds room
        waiting.put_nowait(record())
    assert not waiting.full()
    assert relieved == []
    await waiting.together(None)
    while not waiting.empty():
        waiting.get_nowait()
    assert len(relieved) == 1


async def test_large_records_count_by_their_bytes_and_at_last_who_brings_more_waits() -> None:
    waiting = Waiting(patient=True)
    for _ in range(8):
        assert not waiting.high(lambda: None)
        waiting.put_nowait(record(WAITING_BYTES // 8))
    assert waiting.high(lambda: None)
    while not waiting.full():
        waiting.put_nowait(record(WAITING_BYTES // 8))
    assert waiting.qsize() < 40
    putting = asyncio.create_task(waiting.put(record()))
    await asyncio.sleep(0)
    assert not putting.done()
    waiting.clear()
    await putting


async def test_one_that_is_cleared_relieves_nobody() -> None:
    waiting, relieved = Waiting(patient=True), list[int]()
    for _ in range(WAITING_RECORDS):
        waiting.put_nowait(record())
    assert waiting.high(lambda: relieved.append(1))
    waiting.clear()
    assert relieved == []
