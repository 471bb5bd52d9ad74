"""An overflow says that more changed than is told: what it hides is looked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import cast

import pytest
from sforg import joined

from isthmus.codecs.arrival import Reread
from isthmus.simulators.salesforce import SalesforceOrg
from isthmus.simulators.salesforce.tell import Told, tell
from isthmus.systems.protocol import Delivery
from isthmus.systems.salesforce import overflow

NOBODY = "000000000000000AAA"


@pytest.fixture
def org() -> SalesforceOrg:
    return SalesforceOrg(seed=3)


async def heard(org: SalesforceOrg, until: str, position: str = "-2") -> list[Delivery]:
    """What is delivered up to the creation of a record."""
    found: list[Delivery] = []
    async with joined(org) as salesforce, asyncio.timeout(20):
        changes = cast(AsyncGenerator[Delivery, None], salesforce.changes(position))
        async with contextlib.aclosing(changes):
            async for delivery in changes:
                found.append(delivery)
                if any(change.record_id == until for change in delivery.changes):
                    return found
    raise AssertionError("the stream ended")


def read(found: list[Delivery]) -> list[Reread]:
    return [one for delivery in found for one in delivery.reads]


async def test_all_that_changed_or_went_is_read_and_the_overflow_itself_is_no_change(org: SalesforceOrg) -> None:
    ids = [org.create("Account", {"Name": f"N{number}"}) for number in range(3)]
    org.delete("Account", ids[2])
    org.events.clear()
    tell(org, Told("Account", "GAP_OVERFLOW", [NOBODY]))
    found = await heard(org, org.create("Contact", {"LastName": "Moss"}))
    assert {one.record_id for one in read(found)} == set(ids)
    assert all(one.object == "Account" and one.version for one in read(found))
    assert [change.operation for delivery in found for change in delivery.changes] == ["create"]


async def test_the_position_passes_it_only_when_all_is_on_its_way(
    org: SalesforceOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overflow, "READS_A_DELIVERY", 2)
    for number in range(5):
        org.create("Account", {"Name": f"N{number}"})
    org.events.clear()
    tell(org, Told("Account", "GAP_OVERFLOW", [NOBODY]))
    found = await heard(org, org.create("Contact", {"LastName": "Moss"}))
    *hidden, passed, last = found
    assert [len(delivery.reads) for delivery in hidden if delivery.reads] == [2, 2, 1]
    assert {delivery.position for delivery in hidden if delivery.reads} == {"-2"}
    assert passed.position != "-2" != last.position


async def test_a_scan_that_fails_is_begun_again_after_the_same_position(org: SalesforceOrg) -> None:
    account = org.create("Account", {"Name": "Alder"})
    org.events.clear()
    tell(org, Told("Account", "GAP_OVERFLOW", [NOBODY]))
    org.faults.fail(1, 503, "busy", path="/query")
    contact = org.create("Contact", {"LastName": "Moss"})
    with pytest.raises(Exception, match="503"):
        await heard(org, contact)
    assert {one.record_id for one in read(await heard(org, contact))} == {account}


async def test_a_conversion_that_touched_every_record_reads_every_record(org: SalesforceOrg) -> None:
    account = org.create("Account", {"Name": "Alder"})
    org.events.clear()
    tell(org, Told("Account", "UPDATE", ["001*"]))
    found = await heard(org, org.create("Contact", {"LastName": "Moss"}))
    assert [one.record_id for one in read(found)] == [account]
