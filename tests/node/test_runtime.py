"""The watchdog: a consumer that stays behind although there is more ends its process; one that moves does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from faust.types import TP

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
