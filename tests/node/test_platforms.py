"""A platform of somebody else's package: found, refused where it cannot work, and joined by a node as people run it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from shelves import installed

from isthmus.config.errors import ConfigError
from isthmus.config.mapping import load_mappings
from isthmus.config.settings import Settings
from isthmus.node.platforms import further, row_versions
from isthmus.node.stagehand import Worker, free_port
from isthmus.simulators.salesforce import SalesforceOrg, serve_salesforce

MAPPING = """
entity: account
family: customer
fields:
  name: {type: string, rule: {precedence: [shelf, salesforce]}}
  phone: {type: string, rule: last_writer}
systems:
  salesforce:
    object: Account
    external_id: Isthmus_Id__c
    fields: {name: Name, phone: Phone}
  shelf:
    object: people
    external_id: isthmus_id
    fields: {name: name, phone: phone}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the example's package is installed; workers find it too."""
    (tmp_path / "site").mkdir()
    folder = installed(tmp_path / "site")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.mark.usefixtures("site")
def test_a_package_says_how_the_versions_of_its_rows_compare() -> None:
    assert (row_versions("shelf"), row_versions("operations")) == ("ordered", "unordered")


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("platforms", "told"),
    [
        ({"shelf": {}}, "folder: Field required"),
        ({"shelf": {"folder": "x", "secret": "hush"}}, "secret: Extra inputs"),
        ({"stone": {}}, "no installed package declares it"),
        ({"salesforce": {}}, "comes with us"),
    ],
)
def test_what_cannot_be_built_is_said_and_no_setting_is_quoted(platforms: dict[str, Any], told: str) -> None:
    settings = Settings.model_validate({"platforms": platforms})
    with pytest.raises(ConfigError, match=told) as caught:
        further(settings, load_mappings())
    assert "hush" not in str(caught.value) + repr(settings)


@pytest.mark.usefixtures("site")
async def test_a_record_goes_both_ways_between_salesforce_and_a_platform_that_we_know_nothing_of(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    for name in ("entities", "shelf"):
        (tmp_path / name).mkdir()
    (tmp_path / "entities" / "account.yaml").write_text(MAPPING)
    org = SalesforceOrg(seed=5)
    async with serve_salesforce(org) as url:
        settings = {
            "ISTHMUS_KAFKA__URL": kafka,
            "ISTHMUS_NODE__NAMESPACE": namespace,
            "ISTHMUS_NODE__DATA_DIR": str(tmp_path / "state"),
            "ISTHMUS_NODE__HTTP_PORT": str(free_port()),
            "ISTHMUS_NODE__INSTANCE": f"{namespace}one",
            "ISTHMUS_ENTITIES_DIR": str(tmp_path / "entities"),
            "ISTHMUS_SALESFORCE__TRANSPORT": "cometd",
            "ISTHMUS_SALESFORCE__LOGIN_URL": url,
            "ISTHMUS_SALESFORCE__CLIENT_ID": org.client_id,
            "ISTHMUS_SALESFORCE__CLIENT_SECRET": org.client_secret,
            "ISTHMUS_PLATFORMS__SHELF__FOLDER": str(tmp_path / "shelf"),
            "ISTHMUS_PLATFORMS__SHELF__EVERY": "0.1",
        }
        async with Worker(settings, tmp_path / "worker.log") as worker:
            await worker.ready()
            account = org.create("Account", {"Name": "Alder", "Phone": "1"})
            await until(lambda: names(tmp_path / "shelf") == ["Alder"])
            # A person writes on the shelf, as a person would: a record, and a line of the log.
            import shelf.store as store

            (record_id,) = store.ids(tmp_path / "shelf", "people")
            store.put(tmp_path / "shelf", "people", record_id, {"name": "Alder Ltd"}, "a person")
            store.put(tmp_path / "shelf", "people", "p-2", {"name": "Birch", "phone": "2"}, "a person")
            await until(lambda: org.row("Account", account)["Name"] == "Alder Ltd" and len(org.rows("Account")) == 2)
            ledger = await at_rest(worker)
    assert sorted(row["Name"] for row in org.rows("Account").values()) == ["Alder Ltd", "Birch"]
    assert names(tmp_path / "shelf") == ["Alder Ltd", "Birch"]
    assert (ledger["totals"]["dead"], worker.restarts) == (0, 0)


def names(folder: Path) -> list[str]:
    return sorted(json.loads(file.read_text())["name"] for file in (folder / "people").glob("*.json"))


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not done():
            await asyncio.sleep(0.05)


async def at_rest(worker: Worker) -> dict[str, Any]:
    """The ledger once nothing is under way."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{worker.url}/v1/ledger") as response:
                ledger: dict[str, Any] = await response.json()
            if not ledger["frames"] and ledger["totals"]["in_flight"] == 0:
                return ledger
            await asyncio.sleep(0.05)
