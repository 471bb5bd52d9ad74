"""The whole way with transforms: both simulators, a worker with a mapping of its own, a real Kafka."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
from oracle import committed

from isthmus.config.mapping import load_mappings
from isthmus.node.demo import verdict
from isthmus.node.theatre import Progress, Theatre, settle, theatre

ENTITY = """
entity: account
family: customer
match: [[account_number]]
fields:
  name: {rule: last_writer}
  account_number: {rule: last_writer}
  phone: {rule: last_writer}
  country: {rule: last_writer}
  credit_limit: {type: money, rule: {owner: dynamics}}
  industry:
    type: option
    rule: last_writer
    values:
      farming: {salesforce: Agriculture, dynamics: 2}
      banking: {salesforce: Banking, dynamics: 1}
      energy: {salesforce: Energy}
systems:
  salesforce:
    object: Account
    external_id: Isthmus_Id__c
    fields:
      name: {column: Name, transform: trim}
      account_number: AccountNumber
      phone: {column: Phone, transform: {kind: phone, country: country, region: DE}}
      country: {column: BillingCountry, transform: country}
      credit_limit: {column: Credit_Limit__c, transform: {kind: money, digits: 2}}
      industry: {column: Industry, transform: picklist}
  dynamics:
    object: account
    collection: accounts
    primary_key: accountid
    external_id: isthmus_id
    fields:
      name: {column: name, transform: trim}
      account_number: accountnumber
      phone: {column: telephone1, transform: {kind: phone, form: international, region: AT}}
      country: {column: address1_country, transform: {kind: country, form: alpha_3}}
      credit_limit: {column: creditlimit, transform: money}
      industry: {column: industrycode, transform: picklist}
"""
SHOWN = ("name", "telephone1", "address1_country", "creditlimit", "industrycode")


async def proven(stage: Theatre, folder: Path) -> None:
    """At rest, balanced, and both sides the same in canonical values."""
    found = await verdict(replace(stage, mappings=load_mappings(folder)), await settle(stage, Progress(), 60), 0.0)
    assert found.problems == []
    assert found.summary["converged"]
    assert found.summary["balanced"]


async def test_values_go_the_whole_way_in_each_systems_own_words(kafka: str, namespace: str, tmp_path: Path) -> None:
    folder = tmp_path / "entities"
    folder.mkdir()
    (folder / "account.yaml").write_text(ENTITY)
    more = {"ISTHMUS_ENTITIES_DIR": str(folder)}
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=31, more=more) as stage:
        told = {"Name": "Alder", "Phone": "030 12345678", "BillingCountry": "Germany", "Industry": "Banking"}
        account = stage.org.create("Account", {**told, "AccountNumber": "A-1"})
        await proven(stage, folder)
        ((row_id, row),) = stage.environment.rows("account").items()
        assert [row[name] for name in SHOWN] == ["Alder", "+49 30 12345678", "DEU", None, 1]
        # What was typed stays where it was typed.
        assert stage.org.rows("Account")[account]["Phone"] == "030 12345678"

        stage.environment.update(
            "account", row_id, {"creditlimit": 5000.5, "industrycode": 2, "telephone1": "01 2345678"}
        )
        await proven(stage, folder)
        held = stage.org.rows("Account")[account]
        assert [held[name] for name in ("Credit_Limit__c", "Industry", "Phone")] == [
            5000.5,
            "Agriculture",
            "+4312345678",
        ]

        # The number alone tells no country: the record is read.
        stage.org.update("Account", account, {"Phone": "030 999999"})
        await proven(stage, folder)
        assert stage.environment.rows("account")[row_id]["telephone1"] == "+49 30 999999"


async def test_a_value_that_is_refused_costs_the_rest_nothing(kafka: str, namespace: str, tmp_path: Path) -> None:
    folder = tmp_path / "entities"
    folder.mkdir()
    (folder / "account.yaml").write_text(ENTITY)
    more = {"ISTHMUS_ENTITIES_DIR": str(folder)}
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=32, more=more) as stage:
        account = stage.org.create("Account", {"Name": "Alder", "Phone": "+49 30 12345678", "Industry": "Technology"})
        await settle(stage, Progress(), 60)
        stage.org.update("Account", account, {"Name": "Alder & Co", "Industry": "Energy"})
        ledger = await settle(stage, Progress(), 60)
        ((_, row),) = stage.environment.rows("account").items()
        assert [row[name] for name in SHOWN] == ["Alder & Co", "+49 30 12345678", None, None, None]
        assert ledger["totals"]["dead"] == 0
        assert ledger["balanced"]
        letters = [orjson.loads(one.value) for one in await committed(stage.bootstrap, f"{stage.namespace}dead")]
        found = sorted((one["stage"], one["code"], one["context"]["field"], one["context"]["value"]) for one in letters)
        assert found == [
            ("deliver", "TRANSFORM", "industry", "energy"),
            ("intake", "TRANSFORM", "industry", "Technology"),
        ]
