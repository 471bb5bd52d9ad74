"""Customers that exist in both systems before the first sync: matched, loaded, and none of them created twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from typed import typed

from isthmus.config.mapping import load_mappings
from isthmus.node.stagehand import Worker
from isthmus.node.theatre import Progress, Theatre, listening_by, settle, worker_settings
from isthmus.simulators.dynamics.environment import DynamicsEnvironment
from isthmus.simulators.dynamics.server import serve_dynamics
from isthmus.simulators.salesforce.org import SalesforceOrg
from isthmus.simulators.salesforce.pubsub import serve_pubsub
from isthmus.simulators.salesforce.server import serve_salesforce

CUSTOMERS, SAME = 200, 150
ALONE = CUSTOMERS - SAME


def numbers(stage: Theatre) -> Iterator[list[str]]:
    """The account numbers of each system, in order."""
    yield sorted(row["AccountNumber"] for row in stage.org.rows("Account").values())
    yield sorted(row["accountnumber"] for row in stage.environment.rows("account").values())


async def test_of_200_customers_on_both_sides_of_whom_150_are_the_same_none_is_created_twice(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    org, environment = SalesforceOrg(seed=3), DynamicsEnvironment(seed=3)
    for one in range(CUSTOMERS):
        org.create("Account", {"Name": f"Customer {one}", "AccountNumber": f"N-{one}"})
        other = one + ALONE
        environment.create(
            "account", {"name": f"CUSTOMER {other}", "accountnumber": f"N-{other}", "creditlimit": other}
        )
    async with serve_salesforce(org) as url, serve_pubsub(org) as pubsub, serve_dynamics(environment) as dynamics:
        settings = worker_settings(tmp_path, kafka, namespace, org, url, environment, dynamics.http_url, "key")
        settings |= listening_by(pubsub.url)
        planned = await typed(settings, "match", "account", "--json")
        assert (len(planned["sure"]), len(planned["asked"])) == (SAME, 0)
        assert {name: len(alone) for name, alone in planned["alone"].items()} == {
            "salesforce": ALONE,
            "dynamics": ALONE,
        }
        await typed(settings, "match", "account", "--apply", "--json")
        async with Worker(settings, tmp_path / "worker.log") as worker:
            door = f"{worker.url}/webhooks/dynamics"
            environment.register_webhook(door, auth=("WebhookKey", "key"))
            await worker.ready()
            stage = Theatre(kafka, namespace, org, environment, worker, load_mappings(), f"{door}?code=key")
            async with asyncio.timeout(120):  # what waits to be matched is in no book yet
                while min(map(len, numbers(stage))) < CUSTOMERS + ALONE:
                    await asyncio.sleep(0.1)
            ledger = await settle(stage, Progress(), 120)
            expected = sorted(f"N-{one}" for one in range(CUSTOMERS + ALONE))
            assert list(numbers(stage)) == [expected, expected]
            assert ledger["balanced"]
            names = {row["accountnumber"]: row["name"] for row in environment.rows("account").values()}
            assert names["N-60"] == "Customer 60"
            limits = {row["AccountNumber"]: row["Credit_Limit__c"] for row in org.rows("Account").values()}
            assert float(limits["N-60"]) == 60
