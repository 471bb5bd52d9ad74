"""Adapters tell what the simulated platforms say of their fields."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from worlds import CUSTOMERS, dynamics, operations, salesforce

from isthmus.config.errors import PlatformError
from isthmus.config.mapping import SystemMapping
from isthmus.simulators.dynamics import STANDARD_TABLES, Column
from isthmus.simulators.salesforce import STANDARD_OBJECTS, Field
from isthmus.systems.describing import Described, Describes
from isthmus.systems.protocol import System


async def told(system: System, object_: str) -> Any:
    assert isinstance(system, Describes)
    await system.open()
    try:
        return await system.describe(object_)
    finally:
        await system.close()


async def test_salesforce_tells_types_lengths_options_and_formulas() -> None:
    async with salesforce() as world:
        account = world.people.objects["Account"]  # type: ignore[attr-defined]
        more = {
            "Rank__c": Field("Rank__c", "double", formula=True),
            "Tier__c": Field("Tier__c", "picklist", options=("A", "B"), restricted=True),
        }
        world.people.objects["Account"] = replace(account, fields={**account.fields, **more})  # type: ignore[attr-defined]
        fields = await told(world.system, "Account")
    assert fields["Name"] == Described("Name", "string", True, length=255, closed=False)
    assert fields["NumberOfEmployees"].kind == "integer"
    assert (fields["Credit_Limit__c"].kind, fields["Credit_Limit__c"].length) == ("money", None)
    assert (fields["Rank__c"].writable, fields["Rank__c"].made_by) == (False, "a formula")
    assert (fields["Tier__c"].kind, fields["Tier__c"].options, fields["Tier__c"].closed) == (
        "choice",
        {"A": "A", "B": "B"},
        True,
    )
    assert fields["Industry"].closed is False


async def test_dynamics_tells_types_lengths_options_and_what_is_computed() -> None:
    async with dynamics() as world:
        table = world.people.store.tables["account"]  # type: ignore[attr-defined]
        table.columns["rank"] = Column("rank", "int", writable=False, source=3)
        mapping = {
            "object": "account",
            "collection": "accounts",
            "primary_key": "accountid",
            "external_id": "isthmus_id",
            "fields": {
                "name": "name",
                "industry": "industrycode",
                "state": "statecode",
                "since": "createdon",
                "n": "rank",
            },
        }
        system = world.adapter({"account": SystemMapping.model_validate(mapping)})
        fields = await told(system, "account")
    assert fields["name"] == Described("name", "string", True, length=160)
    assert fields["industrycode"].options == {
        "1": "Accounting",
        "2": "Agriculture and Non-petrol Natural Resource Extraction",
        "3": "Broadcasting",
    }
    assert fields["statecode"].options == {"0": "Active", "1": "Inactive"}
    assert (fields["createdon"].kind, fields["createdon"].writable) == ("datetime", False)
    assert (fields["rank"].writable, fields["rank"].made_by) == (False, "a formula")
    assert fields["creditlimit"].kind == "money"
    assert fields["ownerid"].kind == "reference"


async def test_operations_tells_types() -> None:
    async with operations() as world:
        fields = await told(world.system, CUSTOMERS.object)
    assert (fields["OrganizationName"].kind, fields["CreditLimit"].kind) == ("string", "money")


@pytest.mark.parametrize("world_of", [salesforce, dynamics, operations])
async def test_an_object_that_is_not_there_is_an_error(world_of: Any) -> None:
    async with world_of() as world:
        wrong = {**world.entity.model_dump(by_alias=True), "object": "Nonsense"}
        system = world.adapter({"Nonsense": SystemMapping.model_validate(wrong)})
        with pytest.raises(PlatformError):
            await told(system, "Nonsense")


def test_the_standard_tables_are_nobodys_to_change() -> None:
    assert "rank" not in STANDARD_TABLES[0].columns
    assert "Rank__c" not in STANDARD_OBJECTS[0].fields
