"""A replay id that the org has forgotten: what it hides is read, and both systems end equal without anybody's doing."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from isthmus.node.demo import verdict
from isthmus.node.theatre import Progress, Theatre, settle, theatre


def names(stage: Theatre) -> list[str]:
    return sorted(str(row["name"]) for row in stage.environment.rows("account").values())


async def rests(stage: Theatre) -> dict[str, int]:
    """How many events of each type there are, once all is at rest and proven."""
    found = await verdict(stage, await settle(stage, Progress(), 60), 0.0)
    assert found.problems == []
    assert found.summary["in_flight"] == 0
    events = found.summary["events"]
    assert isinstance(events, dict)
    return events


@pytest.mark.parametrize("days", [0, 20], ids=["of late", "for longer than deletions are told"])
async def test_what_changed_came_and_went_while_nobody_listened_is_found_although_the_org_forgot_the_place(
    kafka: str, namespace: str, tmp_path: Path, days: int
) -> None:
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=9) as stage:
        stage.org.clock = lambda: time.time() - days * 86_400
        alder, elm, _ = (stage.org.create("Account", {"Name": name}) for name in ("Alder", "Elm", "Fir"))
        await settle(stage, Progress(), 60)
        await stage.worker.kill()
        stage.org.create("Account", {"Name": "Birch"})
        stage.org.update("Account", alder, {"Name": "Alder & Sons"})
        stage.org.delete("Account", elm)
        if days:  # then nothing is left of it, and only what a full read does not meet tells that it is gone
            stage.org.purge("Account", elm)
        stage.org.clock = time.time
        stage.org.expire_replay()
        await stage.worker.start()
        async with asyncio.timeout(60):
            while names(stage) != ["Alder & Sons", "Birch", "Elm", "Fir"]:
                await asyncio.sleep(0.1)
            while "all that may have changed is on its way to be read" not in (tmp_path / "worker.log").read_text():
                await asyncio.sleep(0.1)
        events = await rests(stage)
        assert events["isthmus.account.unlinked"] == 1, "the deletion too"
        log = (tmp_path / "worker.log").read_text()
        assert log.count("changes may be lost: what may have changed is read") == 1, "people are told"
        assert ("older deletions are not told any more" in log) == bool(days)
