"""Conflicts and pins over the whole way: two desks say different things, a steward decides, then changes it back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typed import typed

from isthmus.node.demo import verdict
from isthmus.node.theatre import Progress, Theatre, settle, theatre


@pytest.fixture
async def stage(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Theatre]:
    """Simulators and a ready worker."""
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=12) as stage:
        yield stage


async def isthmus(stage: Theatre, *arguments: str, code: int = 0, **more: str) -> Any:
    """`isthmus review`."""
    return await typed(stage.worker.settings, "review", *arguments, code=code, **more)


def phones(stage: Theatre) -> list[str | None]:
    """The customer's number, in both systems."""
    (salesforce,) = stage.org.rows("Account").values()
    (dynamics,) = stage.environment.rows("account").values()
    return [salesforce["Phone"], dynamics["telephone1"]]


async def test_a_steward_decides_between_two_desks_and_changes_it_back(stage: Theatre) -> None:
    account = stage.org.create("Account", {"Name": "Alder", "Phone": "1"})
    await settle(stage, Progress(), 60)
    (row,) = stage.environment.rows("account")
    stage.environment.update("account", row, {"telephone1": "2"})
    stage.org.update("Account", account, {"Phone": "3"})
    await settle(stage, Progress(), 60)
    assert phones(stage) == [phones(stage)[0]] * 2

    found = await isthmus(stage, "list", "--kind", "conflict", "--json")
    (asked,) = found["reviews"]
    assert (asked["field"], found["complete"]) == ("phone", True)
    counts = {side["counts"]: side["value"] for side in asked["sides"]}
    async with aiohttp.ClientSession() as session, session.get(f"{stage.worker.url}/reviews") as response:
        page = await response.text()
    assert all(f'<div class="value">{value}</div>' in page for value in counts.values())

    assert "swap is ordered" in await isthmus(stage, "swap", asked["id"], "--why", "she called")
    await settle(stage, Progress(), 60)
    assert phones(stage) == [counts[False]] * 2
    settled = await isthmus(stage, "show", asked["id"], "--json")
    assert (settled["closed"], [deed["why"] for deed in settled["decided"]]) == (True, ["she called"])

    golden = f"{stage.worker.url}/v1/golden/account/{asked['canonical']}"
    async with aiohttp.ClientSession() as session, session.get(golden) as response:
        told = (await response.json())["provenance"]["phone"]
    assert (told["rule"].startswith("pin by "), told["why"]) == (True, "she called")

    stage.org.update("Account", account, {"Phone": "4"})  # a pin outlives what is typed later
    await settle(stage, Progress(), 60)
    assert phones(stage) == [counts[False]] * 2

    await isthmus(stage, "undo", asked["id"])
    ledger = await settle(stage, Progress(), 60)
    assert phones(stage) == ["4", "4"] or phones(stage) == [counts[True]] * 2
    assert ledger["subjects"]["steward/account"]["received"] == 2
    assert (await verdict(stage, ledger, 0.0)).problems == []


async def test_what_two_customers_share_is_asked_of_and_answered_there(stage: Theatre) -> None:
    one, other = (
        stage.org.create("Account", {"Name": name, "AccountNumber": "N-1"}) for name in ("Alder", "Alder Inc")
    )
    await settle(stage, Progress(), 60)
    (asked,) = (await isthmus(stage, "list", "--kind", "match", "--json"))["reviews"]
    assert {side["native_id"] for side in asked["sides"]} == {one, other}
    async with aiohttp.ClientSession() as session, session.get(f"{stage.worker.url}/reviews") as response:
        page = await response.text()
    assert all(f'data-verb="{verb}"' in page for verb in asked["deeds"])
    assert "link is ordered" in await isthmus(stage, "link", asked["id"], "--why", "one house")
    await settle(stage, Progress(), 60)
    told = await isthmus(stage, "show", asked["id"], "--json")
    assert (told["closed"], [deed["why"] for deed in told["decided"]]) == (True, ["one house"])
    owners = set()
    async with aiohttp.ClientSession(stage.worker.url) as session:
        for native in (one, other):
            async with session.get(f"/v1/xref/salesforce/{native}") as response:
                owners.add((await response.json())["canonical"])
    assert len(owners) == 1


async def test_only_operators_decide_and_only_what_can_be_decided(stage: Theatre) -> None:
    assert "not the operator's token" in await isthmus(
        stage, "dismiss", "conflict/none/phone", code=1, ISTHMUS_NODE__OPERATOR_TOKEN="of-somebody-else"
    )
    assert "no question" in await isthmus(stage, "swap", "conflict/none/phone", code=1)
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{stage.worker.url}/v1/reviews?kind=quarrel") as response:
            assert response.status == 400
        async with session.get(f"{stage.worker.url}/v1/review?id=none") as response:
            assert response.status == 404
