"""People merge records in Salesforce and in Dynamics: over real Kafka and both simulated platforms."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import aiohttp
from test_joining_way import told, who

from isthmus.config.mapping import ENTITIES
from isthmus.node.theatre import Progress, settle, theatre


async def test_a_salesforce_merge_is_made_in_dynamics_too_where_the_policy_says_so(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    folder = tmp_path / "entities"
    shutil.copytree(ENTITIES, folder, ignore=shutil.ignore_patterns("optional"))
    account = (folder / "account.yaml").read_text()
    (folder / "account.yaml").write_text(account.replace("  dynamics:\n", "  dynamics:\n    on_merge: merge\n"))
    more = {"ISTHMUS_ENTITIES_DIR": str(folder)}
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=13, more=more) as stage:
        first, second = (stage.org.create("Account", {"Name": name}) for name in ("Alder", "Birch"))
        stage.org.create("Contact", {"LastName": "Moss", "Email": "m@b.example", "AccountId": second})
        await settle(stage, Progress(), 60)
        stage.org.merge("Account", first, [second])
        rows = stage.environment.rows
        async with asyncio.timeout(60):
            while not any(row["merged"] for row in rows("account").values()):
                await asyncio.sleep(0.05)
        ledger = await settle(stage, Progress(), 60)
        assert ledger["balanced"]
        ((kept, left), (lost, gone)) = sorted(rows("account").items(), key=lambda one: one[1]["statecode"])
        assert (left["name"], left["statecode"]) == ("Alder", 0)
        assert (gone["statecode"], gone["masterid"]) == (1, kept)
        assert [row["parentcustomerid"] for row in rows("contact").values()] == [kept]
        versions = {native: row["versionnumber"] for native, row in rows("account").items()}
        async with aiohttp.ClientSession(stage.worker.url) as session:
            assert await who(session, "dynamics", kept) == await who(session, "dynamics", lost)
            assert await who(session, "salesforce", first) == await who(session, "dynamics", kept)
        await settle(stage, Progress(), 60)
        assert {native: row["versionnumber"] for native, row in rows("account").items()} == versions


async def test_a_merge_in_either_system_makes_one_of_both_golden_records(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=12) as stage:
        first, second = (stage.org.create("Account", {"Name": name, "Phone": name[0]}) for name in ("Alder", "Birch"))
        third, fourth = (stage.environment.create("account", {"name": name}) for name in ("Cedar", "Dover"))
        await settle(stage, Progress(), 60)
        stage.org.merge("Account", first, [second])
        stage.environment.merge("account", third, fourth, {"telephone1": "7"})
        async with aiohttp.ClientSession(stage.worker.url) as session, asyncio.timeout(60):
            for system, winner, loser in (("salesforce", first, second), ("dynamics", third, fourth)):
                while await who(session, system, winner) != await who(session, system, loser):
                    await asyncio.sleep(0.05)
            ledger = await settle(stage, Progress(), 60)
            assert ledger["balanced"]
            one = await told(session, f"/v1/golden/account/{await who(session, 'salesforce', first)}")
            assert one["links"]["salesforce"] == {first: True, second: False}
            assert (one["fields"]["name"], one["fields"]["phone"]) == ("Alder", "A")
            assert len(one["links"]["dynamics"]) == 2
            other = await told(session, f"/v1/golden/account/{await who(session, 'dynamics', third)}")
            assert (other["fields"]["name"], other["fields"]["phone"]) == ("Cedar", "7")
            assert len(other["links"]["salesforce"]) == 2
