"""Webhooks that never came are found by the delta feed: a real Kafka, both simulators, a worker as people run it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from isthmus.node.demo import verdict
from isthmus.node.theatre import Progress, Theatre, settle, theatre

QUICK = {"ISTHMUS_DYNAMICS__FEED_SECONDS": "0.3"}


async def until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait for the world outside; fails with what did not come."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(what) from None


def names(stage: Theatre) -> list[str]:
    return sorted(str(row["Name"]) for row in stage.org.rows("Account").values())


async def proven(stage: Theatre) -> dict[str, object]:
    found = await verdict(stage, await settle(stage, Progress(), 60), 0.0)
    assert found.problems == []
    assert found.summary["in_flight"] == 0
    return found.summary


async def unlinked(stage: Theatre) -> object:
    """How many events tell of a deletion, once all is at rest and proven."""
    events = (await proven(stage))["events"]
    assert isinstance(events, dict)
    return events.get("isthmus.account.unlinked", 0)


async def test_what_webhooks_lost_during_an_outage_the_feed_finds(kafka: str, namespace: str, tmp_path: Path) -> None:
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=21, more=QUICK) as stage:
        stage.environment.drop_every = 1
        one, two = (stage.environment.create("account", {"name": name}) for name in ("Alder", "Birch"))
        await until(lambda: names(stage) == ["Alder", "Birch"], "rows that no webhook told of")
        assert len(stage.environment.failed()) == 2
        stage.environment._failed.clear()  # no administrator resumes them
        # Killed before word of Birch's twin is kept, it would see the deletion end the record, and the twin restore it.
        await settle(stage, Progress(), 60)
        await stage.worker.kill()
        stage.environment.update("account", one, {"name": "Alder & Co"})
        stage.environment.update("account", one, {"telephone1": "1"})
        stage.environment.create("account", {"name": "Cedar"})
        stage.environment.delete("account", two)
        await stage.environment.until_settled()
        assert len(stage.environment.failed()) == 4, "every webhook was lost"
        stage.environment._failed.clear()
        await stage.worker.start()
        await until(lambda: names(stage) == ["Alder & Co", "Birch", "Cedar"], "changes of the outage")
        async with asyncio.timeout(60):
            while not (deleted := await unlinked(stage)):  # another look of the feed may bring it
                await asyncio.sleep(0.1)
        assert deleted == 1, "the lost deletion too"


async def test_an_expired_link_is_a_full_read_and_what_it_does_not_meet_was_deleted(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=22, more=QUICK) as stage:
        stage.environment.drop_every = 1
        made = [stage.environment.create("account", {"name": f"A{number}"}) for number in range(8)]
        await until(lambda: len(names(stage)) == 8, "the first eight")
        stage.environment._failed.clear()
        await settle(stage, Progress(), 60)
        await stage.worker.kill()
        stage.environment.delete("account", made[3])
        stage.environment.update("account", made[4], {"name": "B4"})
        stage.environment.expire_links()
        await stage.environment.until_settled()
        stage.environment._failed.clear()
        await stage.worker.start()
        await until(lambda: "B4" in names(stage), "a change before the link expired")
        summary = await proven(stage)
        events = summary["events"]
        assert isinstance(events, dict)
        assert events["isthmus.account.unlinked"] == 1
        assert summary["dead"] == 0


async def test_webhooks_and_the_feed_together_tell_every_change_once(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=23, more=QUICK) as stage:
        stage.environment.drop_every, stage.environment.duplicate_every, stage.environment.shuffle = 3, 4, True
        made = [stage.environment.create("account", {"name": f"A{number}"}) for number in range(12)]
        for round_ in range(4):
            for one in made:
                stage.environment.update("account", one, {"telephone1": f"{round_}", "name": f"{one[:8]} {round_}"})
            await asyncio.sleep(0.2)
        stage.environment._failed.clear()
        await until(lambda: all(name.endswith(" 3") for name in names(stage)) and len(names(stage)) == 12, "the last")
        await proven(stage)
