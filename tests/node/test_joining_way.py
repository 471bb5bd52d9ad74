"""Two golden records turn out to be one, over real Kafka with several partitions and both simulated platforms."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from isthmus.node.theatre import Progress, Theatre, settle, theatre

CUSTOMERS = range(4)


async def test_customers_that_get_their_number_late_end_as_one_and_nothing_is_created_twice(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    """Both systems refuse writes for a while, so that each golden record is about to be created in the other system."""
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=11) as stage:
        stage.org.fail_next(10_000, 503, [{"errorCode": "SERVER_UNAVAILABLE", "message": "down"}])
        stage.environment.fail_next(10_000, 503, "0x80044150")
        pairs = [
            (
                stage.org.create("Account", {"Name": f"Alder {one}", "Phone": f"1{one}"}),
                stage.environment.create("account", {"name": f"Alder & Co {one}", "creditlimit": one + 1}),
            )
            for one in CUSTOMERS
        ]
        async with aiohttp.ClientSession(stage.worker.url) as session:
            ids = [await parted(session, *pair) for pair in pairs]
            for one, (account, row) in enumerate(pairs):
                stage.org.update("Account", account, {"AccountNumber": f"N-{one}"})
                stage.environment.update("account", row, {"accountnumber": f"N-{one}"})
            for pair in pairs:
                await joined(session, *pair)
            await passed_on(session)
            stage.org.recover()
            stage.environment.recover()
            ledger = await settle(stage, Progress(), 90)
            assert ledger["balanced"]
            assert sorted(names(stage)) == sorted([f"Alder {one}" for one in CUSTOMERS] * 2)
            for one, (account, row) in enumerate(pairs):
                golden = await told(session, f"/v1/golden/account/{await who(session, 'salesforce', account)}")
                assert golden["links"] == {"salesforce": {account: True}, "dynamics": {row: True}}
                assert float(golden["fields"]["credit_limit"]) == one + 1
                (loser,) = {*ids[one]} - {golden["id"]}
                async with session.get(f"/v1/golden/account/{loser}", allow_redirects=False) as answer:
                    assert (answer.status, (await answer.json())["redirect"]) == (308, golden["id"])
                assert await told(session, f"/v1/golden/account/{loser}") == golden


def names(stage: Theatre) -> Iterator[Any]:
    """What the accounts of both systems are called."""
    yield from (row["Name"] for row in stage.org.rows("Account").values())
    yield from (row["name"] for row in stage.environment.rows("account").values())


async def parted(session: aiohttp.ClientSession, account: str, row: str) -> tuple[str, str]:
    """The canonical ids of both, once they are known."""
    async with asyncio.timeout(60):
        while True:
            ids = (await who(session, "salesforce", account), await who(session, "dynamics", row))
            if all(ids):
                assert ids[0] != ids[1]
                return ids
            await asyncio.sleep(0.05)


async def joined(session: aiohttp.ClientSession, account: str, row: str) -> None:
    """Wait until both are one."""
    async with asyncio.timeout(60):
        while await who(session, "salesforce", account) != await who(session, "dynamics", row):
            await asyncio.sleep(0.05)


async def passed_on(session: aiohttp.ClientSession) -> None:
    """Wait until deliver has heard all that identify knows: nothing is on its way between stages, seen twice."""
    seen = 0
    async with asyncio.timeout(60):
        while seen < 2:
            ledger = await told(session, "/v1/ledger")
            seen = seen + 1 if ledger["complete"] and not ledger["frames"] and not ledger["totals"]["in_flight"] else 0
            await asyncio.sleep(0.05)


async def who(session: aiohttp.ClientSession, system: str, native: str) -> str:
    """Its canonical id; empty as long as it is not known."""
    async with session.get(f"/v1/xref/{system}/{native}") as response:
        return str((await response.json()).get("canonical", ""))


async def told(session: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    """The answer, behind its redirects."""
    async with session.get(path) as response:
        assert response.status == 200, (path, await response.text())
        body: dict[str, Any] = await response.json()
        return body
