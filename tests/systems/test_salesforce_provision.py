"""A Salesforce org that lacks what we need: what is told of it, what is made, and that making it twice changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from sforg import joined, upsert

from isthmus.config.errors import PlatformError
from isthmus.simulators.salesforce import STANDARD_OBJECTS, SalesforceOrg
from isthmus.systems.protocol import Finding, Write, Written

OURS = ("Account", "Contact", "Task")


def bare() -> SalesforceOrg:
    """An org in which nobody has prepared anything."""
    objects = [
        replace(one, tracked=False, fields={name: spec for name, spec in one.fields.items() if name != "Isthmus_Id__c"})
        for one in STANDARD_OBJECTS
    ]
    return SalesforceOrg(seed=13, objects=objects)


@pytest.fixture
def org() -> SalesforceOrg:
    return bare()


def bad(findings: list[Finding]) -> set[str]:
    return {finding.name for finding in findings if not finding.ok}


def setup(org: SalesforceOrg) -> Mapping[str, Any]:
    """All that an administrator would see."""
    kept = ("PermissionSet", "PermissionSetAssignment", "ObjectPermissions", "FieldPermissions", "CustomField")
    return {name: org.rows(name) for name in (*kept, "PlatformEventChannel", "PlatformEventChannelMember")}


async def test_what_is_missing_is_told_and_nothing_is_made(org: SalesforceOrg) -> None:
    async with joined(org) as salesforce:
        findings = await salesforce.provision(False)
    assert bad(findings) == {
        *(f"{name}.Isthmus_Id__c" for name in OURS),
        "change events of Account",
        "change events of Contact",
    }
    assert all(finding.hint for finding in findings if not finding.ok)
    assert not any(setup(org).values())
    assert all("Isthmus_Id__c" not in org.objects[name].fields for name in OURS)


async def test_what_is_made_is_what_we_need(org: SalesforceOrg) -> None:
    async with joined(org) as salesforce:
        assert isinstance((await salesforce.write([upsert(1)]))[0], PlatformError)
        assert bad(await salesforce.provision(True)) == set()
        (answer,) = await salesforce.write([upsert(1)])
        assert isinstance(answer, Written)
        assert answer.created
        again = await salesforce.write([Write("Account", "can-1", None, {"Phone": "1"})])
        assert isinstance(again[0], Written)
        assert again[0].record_id == answer.record_id
    assert [event.entity for event in org.events] == ["Account", "Account"]
    for name in OURS:
        key = org.objects[name].fields["Isthmus_Id__c"]
        assert key.external_id
        assert key.length == 255
    assert org.hidden == set()
    (assignment,) = org.rows("PermissionSetAssignment").values()
    assert assignment["AssigneeId"] == org.user_id


async def test_making_it_again_changes_nothing(org: SalesforceOrg) -> None:
    async with joined(org) as salesforce:
        await salesforce.provision(True)
        before = setup(org)
        assert bad(await salesforce.provision(True)) == set()
    assert setup(org) == before


async def test_check_and_provision_agree(org: SalesforceOrg) -> None:
    async with joined(org) as salesforce:
        checked, needed = bad(await salesforce.check()), bad(await salesforce.provision(False))
        # A task for a steward is no part of keeping records alike.
        assert needed - {"Task.Isthmus_Id__c"} == checked
        await salesforce.provision(True)
        assert bad(await salesforce.check()) == bad(await salesforce.provision(False)) == set()


async def test_a_field_that_is_there_but_hidden_is_opened_and_not_made_again(org: SalesforceOrg) -> None:
    async with joined(org) as salesforce:
        await salesforce.provision(True)
        org.hidden |= {("Account", "Isthmus_Id__c"), ("Account", "Phone")}
        made = len(org.rows("CustomField"))
        # Someone took the rights away.
        for object_ in ("FieldPermissions", "PermissionSetAssignment"):
            for record_id in org.rows(object_):
                org.delete(object_, record_id)
        assert {"Account.Isthmus_Id__c", "Account fields"} <= bad(await salesforce.check())
        assert bad(await salesforce.provision(True)) == set()
    assert len(org.rows("CustomField")) == made


async def test_a_key_that_is_no_key_is_told_and_left_alone(org: SalesforceOrg) -> None:
    plain = STANDARD_OBJECTS[0].fields["Phone"]
    org.add_field("Account", replace(plain, name="Isthmus_Id__c"))
    async with joined(org) as salesforce:
        findings = await salesforce.provision(True)
    assert bad(findings) == {"Account.Isthmus_Id__c"}
    assert "externalId" in next(finding for finding in findings if not finding.ok).message


@pytest.mark.parametrize("path", ["/tooling/sobjects/CustomField", "/tooling/sobjects/Platform", "/PermissionSet"])
async def test_what_may_not_be_made_is_told_and_the_rest_is_made(org: SalesforceOrg, path: str) -> None:
    org.faults.refuse("INSUFFICIENT_ACCESS", "insufficient access rights", status=403, path=path)
    async with joined(org) as salesforce:
        findings = await salesforce.provision(True)
        refused = [finding for finding in findings if not finding.ok]
        assert len(refused) == 1
        assert "INSUFFICIENT_ACCESS" in refused[0].message
        assert refused[0].hint
        assert bad(await salesforce.provision(True)) == set()


async def test_an_org_that_cannot_be_logged_in_to_is_a_finding(org: SalesforceOrg) -> None:
    async with joined(org) as salesforce:
        org.client_secret = "another"
        org.expire_tokens()
        await salesforce.close()
        (finding,) = await salesforce.provision(True)
    assert (finding.name, finding.ok) == ("login", False)


async def test_a_custom_channel_is_made_with_its_members_and_then_heard(org: SalesforceOrg) -> None:
    async with joined(org, channels=("/data/Bridge__chn",)) as salesforce:
        assert {"change events /data/Bridge__chn", "change events of Account"} <= bad(await salesforce.provision(False))
        assert "change events /data/Bridge__chn" in bad(await salesforce.check())
        assert bad(await salesforce.provision(True)) == set()
        before = setup(org)
        assert bad(await salesforce.provision(True)) == bad(await salesforce.check()) == set()
    assert setup(org) == before
    members = {(row["EventChannel"], row["SelectedEntity"]) for row in org.rows("PlatformEventChannelMember").values()}
    assert members == {("Bridge__chn", "AccountChangeEvent"), ("Bridge__chn", "ContactChangeEvent")}
    assert [row["DeveloperName"] for row in org.rows("PlatformEventChannel").values()] == ["Bridge"]
