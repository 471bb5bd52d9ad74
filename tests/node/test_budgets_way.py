"""A budget that is used up, over the whole node: what is done in bulk waits, live changes go on, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp

from isthmus.node.theatre import Progress, Theatre, settle, theatre
from isthmus.simulators.salesforce.tell import Told, tell

# Of 1000 requests batch may use 750; what was told of 790 has faded to that after fifteen seconds.
ALLOWED, SPENT = 1000, 790
NOBODY = "000000000000000AAA"


async def shown(stage: Theatre, path: str) -> Any:
    """What the worker answers, a page as text."""
    async with aiohttp.ClientSession() as session, session.get(f"{stage.worker.url}{path}") as response:
        return await (response.json() if path.startswith("/v1") else response.text())


async def until(stage: Theatre, path: str, holds: Callable[[Any], bool]) -> Any:
    """What the worker answers once this is true of it."""
    async with asyncio.timeout(30):
        while not holds(found := await shown(stage, path)):
            await asyncio.sleep(0.05)
    return found


def spend(stage: Theatre, calls: int) -> None:
    """So many requests were made just now."""
    limits = stage.environment.limits
    limits.requests = ALLOWED
    limits._spent.clear()
    limits._spent.extend([limits.now() - timedelta(seconds=1)] * calls)


def names(stage: Theatre) -> list[str]:
    return sorted(str(row["name"]) for row in stage.environment.rows("account").values())


def states(delivery: Any) -> dict[str, str]:
    return {one["use"]: one["state"] for one in delivery["budgets"] if one["limit"] == "requests"}


async def test_a_used_up_budget_parks_batch_lets_live_changes_through_and_drains_when_there_is_room(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    more = {"ISTHMUS_DYNAMICS__BUDGET__BATCH_AT_NIGHT": "0.75"}
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=4, more=more) as stage:
        spend(stage, SPENT)
        stage.org.create("Account", {"Name": "Alder"})
        await settle(stage, Progress(), 60)
        # Two accounts that no event tells of are found by a scan, which is batch.
        with_silence(stage, "Birch", "Cedar")
        ledger = await until(stage, "/v1/ledger", lambda one: parked(one) == 2)
        delivery = await until(stage, "/v1/delivery", lambda one: states(one).get("batch") == "waits")
        assert states(delivery)["interactive"] != "waits"
        assert "dynamics, batch: waits." in await shown(stage, "/")
        assert 'isthmus_budget_waits{limit="requests",system="dynamics",use="batch"} 1.0' in await shown(
            stage, "/metrics"
        )
        stage.org.create("Account", {"Name": "Dogwood"})
        async with asyncio.timeout(30):
            while "Dogwood" not in names(stage):
                await asyncio.sleep(0.05)
        assert names(stage) == ["Alder", "Dogwood"]
        spend(stage, 0)
        ledger = await settle(stage, Progress(), 60)
    assert names(stage) == ["Alder", "Birch", "Cedar", "Dogwood"]
    assert ledger["balanced"]
    assert ledger["deliveries"]["dynamics/account"]["written"] == 4


def with_silence(stage: Theatre, *accounts: str) -> None:
    """Accounts are made of which only that is told that much was."""
    stage.org.selected.discard("Account")
    for name in accounts:
        stage.org.create("Account", {"Name": name})
    stage.org.selected.add("Account")
    tell(stage.org, Told("Account", "GAP_OVERFLOW", [NOBODY]))


def parked(ledger: Any) -> int:
    found: int = ledger["deliveries"].get("dynamics/account", {}).get("parked", 0)
    return found
