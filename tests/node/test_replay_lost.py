"""A replay id that the org has forgotten: what it hides is read, and both systems end equal without anybody's doing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from isthmus.node.demo import verdict
from isthmus.node.theatre import Progress, Theatre, settle, theatre


def names(stage: Theatre) -> list[str]:
    return sorted(str(row["name"]) for row in stage.environment.rows("account").values())


async def test_what_changed_came_and_went_while_nobody_listened_is_found_although_the_org_forgot_the_place(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=9) as stage:
        alder, elm = (stage.org.create("Account", {"Name": name}) for name in ("Alder", "Elm"))
        await settle(stage, Progress(), 60)
        await stage.worker.kill()
        stage.org.create("Account", {"Name": "Birch"})
        stage.org.update("Account", alder, {"Name": "Alder & Sons"})
        stage.org.delete("Account", elm)
        stage.org.expire_replay()
        await stage.worker.start()
        async with asyncio.timeout(60):
            while names(stage) != ["Alder & Sons", "Birch", "Elm"]:
                await asyncio.sleep(0.1)
        found = await verdict(stage, await settle(stage, Progress(), 60), 0.0)
        assert found.problems == []
        assert found.summary["in_flight"] == 0
        events = found.summary["events"]
        assert isinstance(events, dict)
        assert events["isthmus.account.unlinked"] == 1, "the deletion too"
