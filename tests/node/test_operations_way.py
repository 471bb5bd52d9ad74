"""The way of a change between Salesforce and Finance & Operations: a worker as people run it, real Kafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from oracle import committed

from isthmus.node.stagehand import Worker, free_port
from isthmus.simulators.operations import CUSTOMER, OperationsEnvironment, serve_operations
from isthmus.simulators.salesforce import SalesforceOrg, serve_salesforce

CODE = "let-me-in"
MAPPING = """
entity: account
family: customer
fields:
  name: {type: string, rule: {precedence: [salesforce, operations]}}
  phone: {type: string, rule: last_writer}
  credit_limit: {type: money, rule: {owner: operations}}
systems:
  salesforce:
    object: Account
    external_id: Isthmus_Id__c
    fields: {name: Name, phone: Phone, credit_limit: Credit_Limit__c}
  operations:
    object: CustCustomerV3Entity
    collection: CustomersV3
    primary_key: dataAreaId,CustomerAccount
    external_id: IsthmusId
    fields: {name: OrganizationName, phone: PrimaryContactPhone, credit_limit: CreditLimit}
    events:
      CustomerCreditChangedBusinessEvent: {dataAreaId: LegalEntity, CustomerAccount: AccountNumber}
"""


@dataclass
class Theatre:
    """Both simulators and the worker between them."""

    org: SalesforceOrg
    environment: OperationsEnvironment
    worker: Worker
    door: str

    async def ledger(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.worker.url}/v1/ledger") as response:
            held: dict[str, Any] = await response.json()
            return held

    async def rest(self, done: Callable[[], object]) -> dict[str, Any]:
        """Wait until it is so and nothing is under way any more."""
        calm: float | None = None
        async with asyncio.timeout(60):
            while calm is None or time.monotonic() - calm < 1.0:
                ledger = await self.ledger()
                quiet = done() and self.environment.settled and not ledger["frames"] and not ledger["hints"]
                quiet = quiet and ledger["totals"]["in_flight"] == 0
                calm = (calm or time.monotonic()) if quiet else None
                await asyncio.sleep(0.05)
        return ledger

    def customers(self) -> list[dict[str, Any]]:
        return list(self.environment.rows(CUSTOMER).values())


@pytest.fixture
async def stage(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Theatre]:
    (tmp_path / "entities").mkdir()
    (tmp_path / "entities" / "account.yaml").write_text(MAPPING)
    org, environment = SalesforceOrg(seed=5), OperationsEnvironment(seed=5)
    environment.retry_wait = 0.2
    async with serve_salesforce(org) as salesforce, serve_operations(environment) as operations:
        settings = {
            "ISTHMUS_KAFKA__URL": kafka,
            "ISTHMUS_NODE__NAMESPACE": namespace,
            "ISTHMUS_NODE__DATA_DIR": str(tmp_path / "state"),
            "ISTHMUS_NODE__HTTP_PORT": str(free_port()),
            "ISTHMUS_NODE__INSTANCE": f"{namespace}one",
            "ISTHMUS_PIPELINE__RETRY_BASE": "0.2",
            "ISTHMUS_ENTITIES_DIR": str(tmp_path / "entities"),
            "ISTHMUS_SALESFORCE__TRANSPORT": "cometd",
            "ISTHMUS_SALESFORCE__LOGIN_URL": salesforce,
            "ISTHMUS_SALESFORCE__CLIENT_ID": org.client_id,
            "ISTHMUS_SALESFORCE__CLIENT_SECRET": org.client_secret,
            "ISTHMUS_OPERATIONS__URL": operations,
            "ISTHMUS_OPERATIONS__AUTHORITY": operations,
            "ISTHMUS_OPERATIONS__TENANT": environment.tenant,
            "ISTHMUS_OPERATIONS__CLIENT_ID": environment.client_id,
            "ISTHMUS_OPERATIONS__CLIENT_SECRET": environment.client_secret,
            "ISTHMUS_OPERATIONS__COMPANY": environment.company,
            "ISTHMUS_OPERATIONS__EVENT_KEYS": f'["old", "{CODE}"]',
        }
        async with Worker(settings, tmp_path / "worker.log") as worker:
            door = f"{worker.url}/webhooks/operations"
            environment.activate_data_events(CUSTOMER, f"{door}?code={CODE}")
            await worker.ready()
            yield Theatre(org, environment, worker, door)


async def test_a_customer_goes_both_ways_and_events_twice_or_out_of_order_do_no_harm(stage: Theatre) -> None:
    stage.environment.duplicate_every, stage.environment.shuffle = 2, True
    account = stage.org.create("Account", {"Name": "Alder", "Phone": "1"})
    await stage.rest(stage.customers)
    [customer] = stage.environment.rows(CUSTOMER)
    for amount in (5, 6, 7):
        stage.environment.update(CUSTOMER, customer, {"CreditLimit": amount, "PrimaryContactPhone": str(amount)})
    own = stage.environment.create(CUSTOMER, {"OrganizationName": "Birch"})
    ledger = await stage.rest(lambda: len(stage.org.rows("Account")) == 2 and _limit(stage, account) == 7)
    accounts = {row["Name"]: row for row in stage.org.rows("Account").values()}
    assert (accounts["Alder"]["Credit_Limit__c"], accounts["Alder"]["Phone"]) == (7, "7")
    assert stage.environment.row(CUSTOMER, customer)["IsthmusId"] is not None
    assert sorted(row["OrganizationName"] for row in stage.customers()) == ["Alder", "Birch"]
    assert ledger["balanced"]
    assert ledger["totals"]["dead"] == 0
    assert ledger["subjects"]["operations/account"]["unchanged"] > 0
    stage.environment.delete(CUSTOMER, own)
    await stage.rest(lambda: True)
    assert len(stage.customers()) == 1


def _limit(stage: Theatre, account: str) -> Any:
    return stage.org.rows("Account")[account]["Credit_Limit__c"]


async def test_a_business_event_leads_to_its_record_and_one_that_nobody_knows_is_a_dead_letter(
    stage: Theatre, kafka: str, namespace: str
) -> None:
    event = "CustomerCreditChangedBusinessEvent"
    stage.environment.activate(event, f"{stage.door}?code={CODE}")
    stage.environment.activate("TeaIsReadyBusinessEvent", f"{stage.door}?code={CODE}")
    account = stage.org.create("Account", {"Name": "Alder"})
    await stage.rest(stage.customers)
    [customer] = stage.environment.store.all(CUSTOMER)
    stage.environment.store.update(customer, {"CreditLimit": 9})  # in a way that raises no data event
    stage.environment.raise_event(event, {"AccountNumber": customer.values["CustomerAccount"]}, "USMF")
    stage.environment.raise_event("TeaIsReadyBusinessEvent", {}, "USMF")
    ledger = await stage.rest(lambda: _limit(stage, account) == 9)
    assert ledger["subjects"]["operations/unknown"]["dead"] == 1
    assert ledger["balanced"]
    [letter] = await committed(kafka, f"{namespace}dead")
    assert b"UNKNOWN_EVENT" in letter.value or b"TeaIsReady" in letter.value


async def test_an_event_with_a_wrong_key_stays_outside_and_one_that_came_too_early_is_resent(stage: Theatre) -> None:
    async with aiohttp.ClientSession() as session:
        for code in ("", "?code=wrong"):
            async with session.post(f"{stage.door}{code}", data=b"{}") as response:
                assert response.status == 401
    await stage.worker.kill()
    stage.environment.create(CUSTOMER, {"OrganizationName": "Birch", "CreditLimit": 3})
    await stage.environment.until_settled()
    assert len(stage.environment.errors) == 1
    assert stage.org.rows("Account") == {}
    await stage.worker.start()
    await stage.worker.ready()
    stage.environment.resend()
    await stage.rest(lambda: stage.org.rows("Account"))
    assert stage.environment.errors == []


async def test_a_customer_whose_answer_was_lost_exists_once_and_a_limit_is_kept_as_long_as_it_says(
    stage: Theatre,
) -> None:
    stage.environment.lose_answers(1)
    stage.org.create("Account", {"Name": "Alder"})
    await stage.rest(stage.customers)
    stage.environment.fail_next(1, 429, retry_after=2.0)
    stage.org.create("Account", {"Name": "Birch"})
    async with asyncio.timeout(30):
        while stage.environment.failing:
            await asyncio.sleep(0.02)
        refused = time.monotonic()
        while len(stage.customers()) < 2:
            await asyncio.sleep(0.02)
    assert time.monotonic() - refused >= 1.9, "nobody comes back sooner than was asked for"
    ledger = await stage.rest(lambda: True)
    assert sorted(row["OrganizationName"] for row in stage.customers()) == ["Alder", "Birch"]
    assert ledger["balanced"]
    assert ledger["totals"]["dead"] == 0
