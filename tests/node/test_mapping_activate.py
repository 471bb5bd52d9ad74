"""Versions of a mapping over the whole way: what they would change is counted, then both systems follow, then not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typed import typed

from isthmus.config.mapping import ENTITIES
from isthmus.node.demo import verdict
from isthmus.node.theatre import Progress, Theatre, settle, theatre


@pytest.fixture
async def stage(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Theatre]:
    """Simulators and a ready worker."""
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=9) as stage:
        yield stage


async def isthmus(stage: Theatre, *arguments: str, code: int = 0, **more: str) -> Any:
    """`isthmus mapping`."""
    return await typed(stage.worker.settings, "mapping", *arguments, code=code, **more)


def edited(folder: Path, **fields: Any) -> str:
    """A folder whose account file has other rules for these fields."""
    told = yaml.safe_load((ENTITIES / "account.yaml").read_text())
    for name, rule in fields.items():
        told["fields"][name]["rule"] = rule
    folder.mkdir()
    (folder / "account.yaml").write_text(yaml.safe_dump(told))
    return str(folder)


def names(stage: Theatre) -> set[tuple[str, str]]:
    """Every customer's name, in both systems."""
    salesforce = {("salesforce", row["Name"]) for row in stage.org.rows("Account").values()}
    return salesforce | {("dynamics", row["name"]) for row in stage.environment.rows("account").values()}


def both(*wanted: str) -> set[tuple[str, str]]:
    """These names, in both systems."""
    return {(system, name) for system in ("salesforce", "dynamics") for name in wanted}


async def test_a_version_is_counted_put_in_force_and_undone(stage: Theatre, tmp_path: Path) -> None:
    account = stage.org.create("Account", {"Name": "Alder"})
    stage.org.create("Account", {"Name": "Cedar"})
    await settle(stage, Progress(), 60)
    row = next(one for one, row in stage.environment.rows("account").items() if row["name"] == "Alder")
    stage.environment.update("account", row, {"name": "Birch"})
    await settle(stage, Progress(), 60)
    assert names(stage) == both("Alder", "Cedar")  # Salesforce is asked first

    folder = edited(tmp_path / "new", name={"owner": "dynamics"})
    assert "nothing was changed" in await isthmus(stage, "activate", folder, code=1)
    (counted,) = await isthmus(stage, "activate", folder, "--why", "the sales meeting", "--yes", "--json")
    assert (counted["entity"], counted["records"]) == ("account", 2)
    (known,) = await isthmus(stage, "history", "account", "--json")
    assert known["in_force"] == counted["version"]
    assert [one["why"] for one in known["history"]] == ["the sales meeting"]
    await settle(stage, Progress(), 60)
    assert "in force already" in await isthmus(stage, "activate", folder, "--yes")
    stage.environment.update("account", row, {"name": "Dover"})
    await settle(stage, Progress(), 60)
    stage.org.update("Account", account, {"Name": "Fjord"})
    await settle(stage, Progress(), 60)
    assert names(stage) == both("Dover", "Cedar")  # Dynamics alone

    assert "golden records would differ" in await isthmus(stage, "undo", "account", "--yes")
    await settle(stage, Progress(), 60)
    stage.org.update("Account", account, {"Name": "Ember"})
    ledger = await settle(stage, Progress(), 60)
    assert names(stage) == both("Ember", "Cedar")
    assert (await verdict(stage, ledger, 0.0)).problems == []


async def test_a_version_with_other_columns_is_refused_with_what_to_do(stage: Theatre, tmp_path: Path) -> None:
    told = yaml.safe_load((ENTITIES / "account.yaml").read_text())
    told["systems"]["salesforce"]["fields"]["phone"] = "Fax"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "account.yaml").write_text(yaml.safe_dump(told))
    said = await isthmus(stage, "activate", str(tmp_path / "other"), "--yes", code=1)
    assert "something else of salesforce" in said
    assert "restart them first" in said
