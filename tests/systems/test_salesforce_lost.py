"""A place that the org has forgotten: what the hole hides is read, and nothing is passed over in silence."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest
from sforg import joined

from isthmus.codecs.arrival import Reread
from isthmus.config.errors import PlatformError, ReplayLost
from isthmus.simulators.salesforce import SalesforceOrg
from isthmus.systems.protocol import Delivery
from isthmus.systems.salesforce import lost, overflow

TRANSPORTS: list[dict[str, Any]] = [{}, {"pubsub_url": None}]


@pytest.fixture
def org() -> SalesforceOrg:
    return SalesforceOrg(seed=3)


async def heard(org: SalesforceOrg, until: str, position: str = "-2", **changed: Any) -> list[Delivery]:
    """What is delivered up to a change of a record."""
    found: list[Delivery] = []
    async with joined(org, **changed) as salesforce, asyncio.timeout(20):
        changes = cast(AsyncGenerator[Delivery, None], salesforce.changes(position))
        async with contextlib.aclosing(changes):
            async for delivery in changes:
                found.append(delivery)
                if any(change.record_id == until for change in delivery.changes):
                    return found
    raise AssertionError("the stream ended")


def read(found: list[Delivery]) -> list[Reread]:
    return [one for delivery in found for one in delivery.reads]


async def hole(org: SalesforceOrg, **changed: Any) -> tuple[str, dict[str, str]]:
    """A position whose place is forgotten, and the records that changed since."""
    kept, gone = org.create("Account", {"Name": "Alder"}), org.create("Account", {"Name": "Birch"})
    *_, last = await heard(org, gone, **changed)
    org.update("Account", kept, {"Name": "Alder & Sons"})
    org.delete("Account", gone)
    new = org.create("Account", {"Name": "Cedar"})
    org.expire_replay()
    return last.position, {"changed": kept, "gone": gone, "new": new}


@pytest.mark.parametrize("changed", TRANSPORTS, ids=["pubsub", "cometd"])
async def test_what_changed_came_and_went_in_the_hole_is_read_and_the_stream_goes_on(
    org: SalesforceOrg, changed: dict[str, Any]
) -> None:
    position, hidden = await hole(org, **changed)
    after = org.create("Contact", {"LastName": "Moss"})
    found = await heard(org, after, position, **changed)
    assert {one.record_id for one in read(found)} >= set(hidden.values())
    assert [change.record_id for delivery in found for change in delivery.changes] == [after]
    *_, last = found
    again = org.create("Contact", {"LastName": "Fern"})
    assert [one.changes[0].record_id for one in await heard(org, again, last.position, **changed)] == [again]


async def test_a_read_is_newer_than_what_was_heard_and_older_than_what_is_told_next(org: SalesforceOrg) -> None:
    kept = org.create("Account", {"Name": "Alder"})
    *_, last = await heard(org, kept)
    org.update("Account", kept, {"Name": "Alder & Sons"})
    org.expire_replay()
    org.update("Account", kept, {"Name": "Alder & Daughters"})
    found = await heard(org, kept, last.position)
    (before,), (after,) = last.changes, found[-1].changes
    assert {one.version for one in read(found)} == {f"{before.version}~"}
    assert (before.version or "") < (read(found)[0].version or "") < (after.version or "")


async def test_until_all_is_on_its_way_the_position_stays_and_people_are_told(
    org: SalesforceOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost, "READS_A_DELIVERY", 2)
    position, _ = await hole(org)
    found = await heard(org, org.create("Contact", {"LastName": "Moss"}), position)
    reading = [delivery for delivery in found if delivery.reads]
    assert len(reading) > 1
    assert {delivery.position for delivery in reading} == {position}
    assert all("is being read" in (delivery.alert or "") for delivery in reading)
    healed, *rest = [delivery for delivery in found if not delivery.reads]
    assert healed.alert is None
    assert healed.position != position
    assert rest


async def test_a_scan_that_fails_is_begun_again_after_the_same_position(org: SalesforceOrg) -> None:
    position, hidden = await hole(org)
    org.faults.fail(1, 503, "busy", path="/query")
    after = org.create("Contact", {"LastName": "Moss"})
    with pytest.raises(PlatformError, match="503"):
        await heard(org, after, position)
    assert {one.record_id for one in read(await heard(org, after, position))} >= set(hidden.values())


async def test_what_is_too_long_ago_reads_all_there_is_and_what_is_known_to_have_gone(
    org: SalesforceOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    untouched = org.create("Account", {"Name": "Elder"})
    position, hidden = await hole(org)
    long_ago = position.replace('"at":"20', '"at":"19')
    assert long_ago != position
    monkeypatch.setattr(overflow, "MARGIN", overflow.MARGIN * 0)
    found = await heard(org, org.create("Contact", {"LastName": "Moss"}), long_ago)
    assert {one.record_id for one in read(found)} >= {untouched, *hidden.values()}
    for object in ("Account", "Contact"):
        asked = [one for one in read(found) if one.object == object]
        assert [one.swept for one in asked] == [False] * (len(asked) - 1) + [True], (
            "the end of a full read is said last"
        )
        assert len({one.version for one in asked}) == 1


async def test_what_can_be_told_needs_no_full_read(org: SalesforceOrg) -> None:
    position, _ = await hole(org)
    found = await heard(org, org.create("Contact", {"LastName": "Moss"}), position)
    assert not any(one.swept for one in read(found))


async def test_a_place_from_before_any_change_is_healed_by_reading_all_there_is(org: SalesforceOrg) -> None:
    unheard = [org.create("Account", {"Name": name}) for name in ("Alder", "Birch")]
    org.expire_replay()
    position = f'cometd:{{"/data/ChangeEvents":"1","org":"{org.org_id}"}}'
    after = org.create("Contact", {"LastName": "Moss"})
    found = await heard(org, after, position, pubsub_url=None)
    assert {one.record_id for one in read(found) if one.object == "Account"} == {*unheard, ""}
    assert "since ever is being read" in (found[0].alert or "")
    (told,) = found[-1].changes
    assert all("" < (one.version or "") < (told.version or "") for one in read(found))


async def test_a_place_that_is_lost_twice_is_read_twice(org: SalesforceOrg) -> None:
    position, _ = await hole(org)
    first = await heard(org, org.create("Contact", {"LastName": "Moss"}), position)
    (healed,) = [one for one in first if not one.reads and not one.raw]
    org.expire_replay()
    again = healed.position.replace('"-2"', '"1"')
    second = await heard(org, org.create("Contact", {"LastName": "Fern"}), again)
    assert not {one.version for one in read(first)} & {one.version for one in read(second)}


async def test_a_change_of_transport_is_healed_as_well(org: SalesforceOrg) -> None:
    position, hidden = await hole(org)
    found = await heard(org, org.create("Contact", {"LastName": "Moss"}), position, pubsub_url=None)
    assert {one.record_id for one in read(found)} >= set(hidden.values())


async def test_another_orgs_place_stays_lost(org: SalesforceOrg) -> None:
    position, _ = await hole(org)
    other = SalesforceOrg(seed=4)
    other.org_id = "00D5g0000000002EAA"
    with pytest.raises(ReplayLost) as caught:
        await heard(other, other.create("Account", {"Name": "Alder"}), position)
    assert caught.value.code == "OTHER_ORG"


async def test_a_place_that_says_nothing_of_what_was_heard_stays_lost(org: SalesforceOrg) -> None:
    account = org.create("Account", {"Name": "Alder"})
    org.expire_replay()
    with pytest.raises(ReplayLost):
        await heard(org, account, 'cometd:{"/data/ChangeEvents":"1"}', pubsub_url=None)
