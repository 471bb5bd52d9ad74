"""The watchdog: what stands still although there is more to do ends its process, what moves does not; and partitions that
come and go while nobody waits for it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from faust.types import TP

from isthmus.node import ending
from isthmus.node import runtime as runtimes
from isthmus.node.runtime import Runtime, StuckError
from isthmus.node.topics import Topics
from isthmus.node.transport import App

WHERE = TP("changes", 0)


@pytest.fixture
async def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Runtime, list[BaseException]]:
    """A runtime without patience, and why it ended its process."""
    monkeypatch.setattr(runtimes, "STUCK_SECONDS", -1.0)
    died: list[BaseException] = []
    app = App("watched", broker="kafka://nobody:9", datadir=str(tmp_path), web_enabled=False)
    return Runtime(app, Topics("", 1), "nobody:9", tmp_path, died.append), died


async def test_a_consumer_that_brings_nothing_although_there_is_more_ends_the_process(
    watched: tuple[Runtime, list[BaseException]],
) -> None:
    runtime, died = watched
    runtime._watch_position(WHERE, 3, 9)
    assert died == []
    runtime._watch_position(WHERE, 3, 9)
    assert isinstance(died[0], StuckError)
    assert "6 records are there" in str(died[0])


async def test_a_consumer_that_moves_or_has_all_is_left_alone(watched: tuple[Runtime, list[BaseException]]) -> None:
    runtime, died = watched
    for position in (3, 4, 5, 9, 9, 9):
        runtime._watch_position(WHERE, position, 9)
    assert died == []


async def test_lanes_that_nobody_opens_end_the_process(watched: tuple[Runtime, list[BaseException]]) -> None:
    runtime, died = watched
    runtime._watch_opening()
    assert died == []
    runtime.lanes["merge", 0] = Idle()  # type: ignore[assignment]
    runtime._opening = asyncio.create_task(asyncio.sleep(60))
    runtime._watch_opening()
    assert died == []
    runtime._opening.cancel()
    await asyncio.gather(runtime._opening, return_exceptions=True)
    runtime._watch_opening()
    assert isinstance(died[0], StuckError)


class Idle:
    """A lane that takes its time to stop."""

    async def stop(self) -> None:
        """A little later."""
        await asyncio.sleep(0.05)


async def test_partitions_are_given_up_to_the_end_also_where_faust_stops_waiting(
    watched: tuple[Runtime, list[BaseException]],
) -> None:
    runtime, _ = watched
    runtime.lanes["merge", 0] = Idle()  # type: ignore[assignment]
    runtime._opening = asyncio.create_task(asyncio.sleep(60))
    waiting = asyncio.create_task(runtime._revoked(None, set()))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(5):
        while runtime.lanes or runtime._turning.locked():
            await asyncio.sleep(0.01)
    assert runtime._opening is None


async def deaf() -> None:
    """Takes the first cancellation for its own."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(60)
    await asyncio.sleep(60)


async def test_an_opening_that_swallows_its_cancellation_is_ended_all_the_same(
    watched: tuple[Runtime, list[BaseException]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "AGAIN_SECONDS", 0.05)
    runtime, _ = watched
    runtime._opening = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await runtime.close()
    assert runtime._opening is None


async def test_giving_up_that_comes_to_no_end_ends_the_process(
    watched: tuple[Runtime, list[BaseException]],
) -> None:
    runtime, died = watched
    runtime.lanes["merge", 0] = Idle()  # type: ignore[assignment]
    closing = asyncio.create_task(runtime.close())
    async with asyncio.timeout(5):
        while runtime._turning_since is None:
            await asyncio.sleep(0)
    runtime._watch_opening()
    assert isinstance(died[0], StuckError)
    await closing
