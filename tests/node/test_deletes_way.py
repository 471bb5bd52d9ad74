"""Deletes over the whole way: both simulators, a worker with a policy of its own, a real Kafka."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from oracle import committed
from policies import by_policy

from isthmus.config.mapping import load_mappings
from isthmus.node.demo import verdict
from isthmus.node.theatre import Progress, Theatre, settle, theatre

POLICIES = {
    "account": {"from": ["salesforce"], "dynamics": "deactivate"},
    "contact": {"from": ["salesforce"], "dynamics": "delete"},
}


def declared(folder: Path) -> Path:
    """The entities with these policies, as an operator declares them."""
    folder.mkdir()
    for name, policy in POLICIES.items():
        entity = by_policy(load_mappings().entities[name], policy)
        told = entity.model_dump(mode="json", by_alias=True, exclude_unset=True)
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(told))
    return folder


async def proven(stage: Theatre, folder: Path) -> dict[str, Any]:
    """At rest, balanced, and both sides as the policies say; the ledger."""
    ledger = await settle(stage, Progress(), 60)
    found = await verdict(replace(stage, mappings=load_mappings(folder)), ledger, 0.0)
    assert found.problems == []
    assert found.summary["converged"]
    assert found.summary["balanced"]
    return ledger


async def kinds(stage: Theatre, entity: str) -> list[str]:
    records = await committed(stage.bootstrap, f"{stage.namespace}events.{entity}")
    return [dict(record.headers)["ce_type"].decode().rpartition(".")[2] for record in records]


async def test_deleted_and_undeleted_in_salesforce(kafka: str, namespace: str, tmp_path: Path) -> None:
    folder = declared(tmp_path / "entities")
    more = {"ISTHMUS_ENTITIES_DIR": str(folder)}
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=41, more=more) as stage:
        org, environment = stage.org, stage.environment
        account = org.create("Account", {"Name": "Alder", "Phone": "1"})
        contact = org.create("Contact", {"LastName": "Moss", "Email": "m@example.com"})
        await proven(stage, folder)
        ((account_id, _),), ((contact_id, _),) = (environment.rows(name).items() for name in ("account", "contact"))
        environment.update("contact", contact_id, {"jobtitle": "Clerk"})
        await proven(stage, folder)

        org.delete("Account", account)
        org.delete("Contact", contact)
        await proven(stage, folder)
        assert environment.rows("account")[account_id]["statecode"] == 1
        assert environment.rows("contact") == {}
        environment.update("account", account_id, {"telephone1": "2"})
        await proven(stage, folder)
        assert org.rows("Account") == {}, "a deleted record was made anew"

        org.undelete("Account", account)
        org.undelete("Contact", contact)
        ledger = await proven(stage, folder)
        assert environment.rows("account").keys() == {account_id}
        assert environment.rows("account")[account_id]["statecode"] == 0
        assert (org.rows("Account").keys(), org.rows("Account")[account]["Phone"]) == ({account}, "2")
        ((again, row),) = environment.rows("contact").items()
        assert again != contact_id
        assert (row["lastname"], row["jobtitle"]) == ("Moss", "Clerk")
        assert ledger["totals"]["dead"] == 0
        assert Counter(await kinds(stage, "contact")) == Counter(
            {"created": 1, "linked": 2, "updated": 1, "deleted": 1, "restored": 1}
        )
        assert {"deleted", "restored"} <= set(await kinds(stage, "account"))
