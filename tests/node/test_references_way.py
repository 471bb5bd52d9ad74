"""References over the whole way: whoever says it, and whichever record comes first, both systems point at the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from test_way import proven

from isthmus.node.theatre import Progress, Theatre, settle, theatre


@pytest.fixture
async def stage(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Theatre]:
    """Simulators and a ready worker."""
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=5) as stage:
        yield stage


def belongs(stage: Theatre) -> dict[str, tuple[str | None, str | None]]:
    """By a contact's last name: the names of its accounts in Salesforce and in Dynamics."""
    salesforce, dynamics = stage.rows()["salesforce"], stage.rows()["dynamics"]
    here = {
        row["LastName"]: salesforce["Account"].get(row["AccountId"], {}).get("Name")
        for row in salesforce["Contact"].values()
    }
    there = {
        row["lastname"]: dynamics["account"].get(row["parentcustomerid"], {}).get("name")
        for row in dynamics["contact"].values()
    }
    return {name: (here.get(name), there.get(name)) for name in here | there}


async def test_a_contact_belongs_to_the_same_account_in_both_systems_whoever_says_so(stage: Theatre) -> None:
    org, environment, progress = stage.org, stage.environment, Progress()
    alder = org.create("Account", {"Name": "Alder"})
    org.create("Contact", {"LastName": "Moss", "AccountId": alder})
    birch = environment.create("account", {"name": "Birch"})
    environment.create("contact", {"lastname": "Moor", "parentcustomerid": birch})
    progress.ledger = await settle(stage, progress, 60)
    assert belongs(stage) == {"Moss": ("Alder", "Alder"), "Moor": ("Birch", "Birch")}
    # Alder was never written to Salesforce, so it does not bear our id there: it has to be found all the same.
    (copy,) = (id for id, row in environment.rows("account").items() if row["name"] == "Alder")
    environment.create("contact", {"lastname": "Mill", "parentcustomerid": copy})
    (moor,) = (id for id, row in org.rows("Contact").items() if row["LastName"] == "Moor")
    org.update("Contact", moor, {"AccountId": alder})
    (moss,) = (id for id, row in org.rows("Contact").items() if row["LastName"] == "Moss")
    org.update("Contact", moss, {"AccountId": None})
    progress.ledger = await settle(stage, progress, 60)
    assert belongs(stage) == {"Moss": (None, None), "Moor": ("Alder", "Alder"), "Mill": ("Alder", "Alder")}
    await proven(stage, progress)
