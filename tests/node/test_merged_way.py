"""People merge records in Salesforce and in Dynamics: over real Kafka and both simulated platforms."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
from test_joining_way import told, who

from isthmus.node.theatre import Progress, settle, theatre


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
