"""A target that takes connections and never answers: what it costs, and what goes on meanwhile."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp

from isthmus.node.demo import verdict
from isthmus.node.theatre import Progress, Theatre, settle, theatre
from isthmus.systems.http import DEADLINE_SECONDS


async def test_a_target_that_never_answers_holds_up_its_own_writes_alone(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    """Its time limit ends the call, the breaker opens, and what waited is written once it answers again."""
    more = {"ISTHMUS_PIPELINE__BREAKER_CALLS": "2"}
    async with (
        theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=14, more=more) as stage,
        aiohttp.ClientSession(stage.worker.url) as session,
    ):
        row = stage.environment.create("account", {"name": "Alder", "telephone1": "1"})
        await settle(stage, Progress(), 60)
        (account,) = stage.org.rows("Account")

        stage.org.outage.delay, began = 3600.0, time.monotonic()
        stage.environment.update("account", row, {"telephone1": "2"})
        await until(lambda: waits(session))
        stage.environment.update("account", row, {"telephone1": "3"})  # the same record, behind the write that hangs
        others = [stage.org.create("Account", {"Name": f"Birch {one}"}) for one in range(8)]  # all partitions
        await until(lambda: merged(session, account, "3"))
        await until(lambda: written(stage, len(others)))
        assert time.monotonic() - began < DEADLINE_SECONDS
        assert stage.org.rows("Account")[account]["Phone"] == "1"

        await until(lambda: opened(session))
        assert time.monotonic() - began > DEADLINE_SECONDS
        stage.org.outage.over()
        ledger = await settle(stage, Progress(), 60)
        assert stage.org.rows("Account")[account]["Phone"] == "3"
        assert (await verdict(stage, ledger, 0.0)).problems == []


async def until(found: Any) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(60):
        while not await found():
            await asyncio.sleep(0.05)


async def told(session: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    """A JSON answer."""
    async with session.get(path) as response:
        body: dict[str, Any] = await response.json()
        return body


async def waits(session: aiohttp.ClientSession) -> bool:
    """A write to Salesforce is under way, and parked nowhere."""
    counts = (await told(session, "/v1/ledger"))["deliveries"]["salesforce/account"]
    return bool(counts["in_flight"] == 1 and not counts["parked"])


async def merged(session: aiohttp.ClientSession, account: str, phone: str) -> bool:
    """The golden record has this number."""
    canonical = (await told(session, f"/v1/xref/salesforce/{account}"))["canonical"]
    return bool((await told(session, f"/v1/golden/account/{canonical}"))["fields"]["phone"] == phone)


async def written(stage: Theatre, number: int) -> bool:
    """The other target has so many records more."""
    return len(stage.environment.rows("account")) == 1 + number


async def opened(session: aiohttp.ClientSession) -> bool:
    """Salesforce is left alone."""
    return bool((await told(session, "/v1/delivery"))["targets"]["salesforce"] == "open")
