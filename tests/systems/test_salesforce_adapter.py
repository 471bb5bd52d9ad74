"""The Salesforce adapter against the simulated org: what only Salesforce has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from one import write_one

from isthmus.codecs.change import Change
from isthmus.config.errors import ConflictError, PermanentError, TransientError
from isthmus.config.mapping import load_mappings
from isthmus.simulators.salesforce import SalesforceOrg, serve_salesforce
from isthmus.simulators.salesforce.tell import Told, tell
from isthmus.systems.protocol import Delivery, Write
from isthmus.systems.salesforce.adapter import Salesforce, SalesforceConfig

OBJECTS = load_mappings().objects("salesforce")
ACCOUNT = OBJECTS["Account"]


@asynccontextmanager
async def joined(org: SalesforceOrg, **changed: Any) -> AsyncIterator[Salesforce]:
    async with serve_salesforce(org) as url:
        system = Salesforce(replace(SalesforceConfig(url, org.client_id, org.client_secret), **changed), OBJECTS)
        await system.open()
        try:
            yield system
        finally:
            await system.close()


@pytest.fixture
def org() -> SalesforceOrg:
    return SalesforceOrg(seed=7)


@pytest.fixture
async def salesforce(org: SalesforceOrg) -> AsyncIterator[Salesforce]:
    async with joined(org) as system:
        yield system


@asynccontextmanager
async def listening(system: Salesforce, position: str | None = "-2") -> AsyncIterator[AsyncIterator[Delivery]]:
    async with asyncio.timeout(20), aclosing(system.changes(position)) as changes:  # type: ignore[type-var]
        yield changes


async def one(changes: AsyncIterator[Delivery]) -> Change:
    (change,) = (await anext(changes)).changes
    return change


# -- changes


async def test_people_and_we_are_heard_and_told_apart(org: SalesforceOrg, salesforce: Salesforce) -> None:
    record_id = org.create("Account", {"Name": "Alder", "BillingCity": "Ulm", "Credit_Limit__c": 1000.0})
    await write_one(salesforce, Write("Account", "can-1", record_id, {"Phone": "1", "BillingCity": None}))
    async with listening(salesforce) as changes:
        created, updated = await one(changes), await one(changes)
    assert (created.operation, updated.operation) == ("create", "update")
    assert (created.fields["BillingCity"], created.fields["Credit_Limit__c"]) == ("Ulm", 1000)
    assert updated.fields["Phone"] == "1"
    assert updated.cleared == ("BillingCity",)
    assert updated.origin is not None
    assert updated.origin.endswith(";client=isthmus")
    assert created.origin is not None
    assert "isthmus" not in created.origin


async def test_a_change_and_a_read_say_the_same(org: SalesforceOrg, salesforce: Salesforce) -> None:
    fields = {"Name": "Alder", "NumberOfEmployees": 12, "Credit_Limit__c": 0.5, "BillingStreet": "1 Quay"}
    record_id = org.create("Account", fields)
    async with listening(salesforce) as changes:
        change = await one(changes)
    (row,) = await salesforce.read("Account", [record_id])
    told = {name: change.fields.get(name) for name in ACCOUNT.columns}
    assert told == dict(row.fields)
    assert {name: type(value) for name, value in told.items()} == {n: type(v) for n, v in row.fields.items()}
    assert change.record_id == row.record_id


async def test_a_persons_name_comes_in_parts(org: SalesforceOrg, salesforce: Salesforce) -> None:
    org.create("Contact", {"FirstName": "Ada", "LastName": "Alder"})
    async with listening(salesforce) as changes:
        change = await one(changes)
    assert (change.fields["FirstName"], change.fields["LastName"]) == ("Ada", "Alder")


async def test_what_happens_while_we_listen_comes_at_once(org: SalesforceOrg, salesforce: Salesforce) -> None:
    record_id = org.create("Account", {"Name": "Alder"})
    async with listening(salesforce) as changes:
        await anext(changes)
        for number in range(3):
            org.update("Account", record_id, {"Phone": str(number)})
            assert (await one(changes)).fields["Phone"] == str(number)
        org.delete("Account", record_id)
        assert (await one(changes)).operation == "delete"


async def test_a_position_goes_on_after_it(org: SalesforceOrg, salesforce: Salesforce) -> None:
    ids = [org.create("Account", {"Name": f"N{number}"}) for number in range(3)]
    async with listening(salesforce) as changes:
        first = await anext(changes)
    async with listening(salesforce, first.position) as changes:
        assert [(await one(changes)).record_id for _ in range(2)] == ids[1:]


@pytest.mark.parametrize("trouble", ["forget_clients", "expire_tokens"])
async def test_a_session_lost_loses_no_change(org: SalesforceOrg, salesforce: Salesforce, trouble: str) -> None:
    record_id = org.create("Account", {"Name": "Alder"})
    async with listening(salesforce) as changes:
        await anext(changes)
        for number in range(2):
            getattr(org, trouble)()
            org.update("Account", record_id, {"Phone": str(number)})
            assert (await one(changes)).fields["Phone"] == str(number)


async def test_a_server_that_went_away_and_came_back_is_found_again(org: SalesforceOrg) -> None:
    record_id = org.create("Account", {"Name": "Alder"})
    async with serve_salesforce(org) as url:
        port = int(url.rpartition(":")[2])
        system = Salesforce(SalesforceConfig(url, org.client_id, org.client_secret), OBJECTS)
        await system.open()
        changes = system.changes("-2")
        await anext(changes)
    org.update("Account", record_id, {"Phone": "1"})
    async with serve_salesforce(org, port=port), asyncio.timeout(20):
        assert (await one(changes)).fields["Phone"] == "1"
        await changes.aclose()  # type: ignore[attr-defined]
        await system.close()


async def test_a_backlog_comes_whole_and_in_order(org: SalesforceOrg, salesforce: Salesforce) -> None:
    org.duplicate_every = 7
    ids = [org.create("Account", {"Name": f"N{number}"}) for number in range(1200)]
    seen: dict[str, None] = {}
    async with listening(salesforce) as changes:
        async for delivery in changes:
            seen.update({change.record_id: None for change in delivery.changes})
            if len(seen) == len(ids):
                break
    assert list(seen) == ids


async def test_a_gap_is_told_as_one(org: SalesforceOrg, salesforce: Salesforce) -> None:
    record_id = org.create("Account", {"Name": "Alder"})
    org.gap_next("Account", [record_id])
    org.update("Account", record_id, {"Phone": "1"})
    async with listening(salesforce) as changes:
        await anext(changes)
        gap = await one(changes)
    assert (gap.operation, gap.record_id, dict(gap.fields)) == ("gap", record_id, {})


# -- writes


def refusal(code: str, message: str = "") -> list[dict[str, Any]]:
    return [{"errorCode": code, "message": message, "fields": []}]


async def test_an_upsert_race_is_tried_once_more(org: SalesforceOrg, salesforce: Salesforce) -> None:
    record_id = org.create("Account", {"Name": "Alder", "Isthmus_Id__c": "can-1"})
    org.fail_next(1, 400, refusal("DUPLICATE_VALUE", f"duplicate value found: Isthmus_Id__c on id: {record_id[:15]}"))
    written = await write_one(salesforce, Write("Account", "can-1", None, {"Name": "Birch"}))
    assert (written.record_id, written.created) == (record_id, False)


async def test_a_duplicate_that_stays_is_permanent(org: SalesforceOrg, salesforce: Salesforce) -> None:
    org.fail_next(2, 400, refusal("DUPLICATE_VALUE"))
    with pytest.raises(PermanentError) as caught:
        await write_one(salesforce, Write("Account", "can-1", None, {"Name": "Birch"}))
    assert caught.value.hint


async def test_an_update_is_not_repeated_for_a_duplicate(org: SalesforceOrg, salesforce: Salesforce) -> None:
    record_id = org.create("Account", {"Name": "Alder"})
    org.fail_next(1, 400, refusal("DUPLICATE_VALUE"))
    with pytest.raises(PermanentError):
        await write_one(salesforce, Write("Account", "can-1", record_id, {"Name": "Birch"}))


async def test_an_external_id_of_several_records_is_permanent(org: SalesforceOrg, salesforce: Salesforce) -> None:
    org.fail_next(1, 300, ["/services/data/v60.0/sobjects/Account/1", "/services/data/v60.0/sobjects/Account/2"])
    with pytest.raises(PermanentError, match="2 Account records") as caught:
        await write_one(salesforce, Write("Account", "can-1", None, {"Name": "Birch"}))
    assert caught.value.code == "MULTIPLE_MATCHES"


async def test_an_api_version_that_answers_with_nothing_is_asked_for_the_id(org: SalesforceOrg) -> None:
    record_id = org.create("Account", {"Name": "Alder", "Isthmus_Id__c": "can-1"})
    org.fail_next(1, 204, None)
    async with joined(org) as system:
        written = await write_one(system, Write("Account", "can-1", None, {"Name": "Birch"}))
    assert (written.record_id, written.created) == (record_id, False)


async def test_a_locked_row_is_transient(org: SalesforceOrg, salesforce: Salesforce) -> None:
    org.fail_next(1, 400, refusal("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record"))
    with pytest.raises(TransientError):
        await write_one(salesforce, Write("Account", "can-1", None, {"Name": "Birch"}))


async def test_a_gateways_page_is_transient(org: SalesforceOrg, salesforce: Salesforce) -> None:
    org.fail_next(1, 502, "<html>Bad Gateway</html>")
    with pytest.raises(TransientError):
        await write_one(salesforce, Write("Account", "can-1", None, {"Name": "Birch"}))


async def test_a_record_that_was_merged_away_is_a_conflict(org: SalesforceOrg, salesforce: Salesforce) -> None:
    record_id = org.create("Account", {"Name": "Alder"})
    org.fail_next(1, 404, refusal("ENTITY_IS_DELETED", "entity is deleted"))
    with pytest.raises(ConflictError):
        await write_one(salesforce, Write("Account", "can-1", record_id, {"Name": "Birch"}))


async def test_our_own_name_is_on_our_writes(org: SalesforceOrg) -> None:
    async with joined(org, client_name="bridge") as system:
        await write_one(system, Write("Account", "can-1", None, {"Name": "Alder"}))
        async with listening(system) as changes:
            assert (await one(changes)).origin == "com/salesforce/api/rest/60.0;client=bridge"


async def test_an_id_of_15_characters_is_answered_as_it_was_asked(org: SalesforceOrg, salesforce: Salesforce) -> None:
    record_id = org.create("Account", {"Name": "Alder"})
    (row,) = await salesforce.read("Account", [record_id[:15]])
    assert (row.record_id, row.exists) == (record_id[:15], True)


# -- check


async def test_check_finds_a_channel_that_takes_no_subscription(org: SalesforceOrg) -> None:
    async with joined(org, channels=("/data/Nonsense__chn",)) as system:
        bad = [finding for finding in await system.check() if not finding.ok]
    assert [finding.name for finding in bad] == ["change events /data/Nonsense__chn"]
    assert bad[0].hint


async def test_check_tells_how_many_calls_the_day_has_left(org: SalesforceOrg, salesforce: Salesforce) -> None:
    (few,) = [one for one in await salesforce.check() if one.name == "API calls"]
    assert few.ok
    org.requests = 4_500_000
    (many,) = [one for one in await salesforce.check() if one.name == "API calls"]
    assert not many.ok
    assert many.message.startswith("4,500,0")


async def test_check_finds_what_a_channel_would_leave_out(org: SalesforceOrg, salesforce: Salesforce) -> None:
    """The channel itself takes the subscription and says nothing (salesforce.md §1.6)."""
    org.unseen.add("Contact")
    (bad,) = [finding for finding in await salesforce.check() if not finding.ok]
    assert bad.name == "change events of Contact"
    assert "silently" in bad.message


async def test_check_of_a_custom_channel_cannot_tell_of_an_object_without_a_channel_of_its_own(
    org: SalesforceOrg,
) -> None:
    org.carry("/data/Sales__chn", {"Account": (), "Contact": ()})
    async with joined(org, channels=("/data/Sales__chn",)) as system:
        assert [finding for finding in await system.check() if not finding.ok] == []
        org.unseen.add("Account")
        (bad,) = [finding for finding in await system.check() if not finding.ok]
    assert bad.name == "change events of Account"


async def test_enriched_values_are_left_out_and_every_record_comes(org: SalesforceOrg) -> None:
    org.carry("/data/Sales__chn", {"Account": ("Industry",)})
    async with joined(org, channels=("/data/Sales__chn",)) as system:
        ids = [org.create("Account", {"Name": name, "Industry": "Media"}) for name in ("Alder", "Birch")]
        tell(org, Told("Account", "UPDATE", ids, {"Phone": "1"}))
        async with listening(system) as changes:
            told = [await one(changes) for _ in range(4)]
    assert [change.record_id for change in told] == [*ids, *ids]
    assert [dict(change.fields) for change in told[2:]] == [{"Phone": "1"}] * 2
    assert len({change.change_id for change in told}) == 4


# -- what is not there


async def test_only_what_was_deleted_is_gone_for_sure(org: SalesforceOrg, salesforce: Salesforce) -> None:
    there, binned, purged = (org.create("Account", {"Name": name}) for name in ("Alder", "Birch", "Cedar"))
    for record_id in (binned, purged):
        org.delete("Account", record_id)
    org.purge("Account", purged)
    hidden = "001000000000042AAA"
    org.unseen.add("Account")
    rows = await salesforce.read("Account", [there, binned, purged, hidden, "no id"])
    assert {row.record_id: (row.exists, row.sure) for row in rows} == {
        there: (True, True),
        binned: (False, True),
        purged: (False, True),
        hidden: (False, False),
        "no id": (False, False),
    }


async def test_nothing_is_hidden_from_who_may_see_every_record_of_an_object(
    org: SalesforceOrg, salesforce: Salesforce
) -> None:
    org.create("Account", {"Name": "Alder"})
    (row,) = await salesforce.read("Account", ["001000000000042AAA"])
    assert (row.exists, row.sure) == (False, True)


async def test_what_was_merged_away_says_into_which_record(org: SalesforceOrg, salesforce: Salesforce) -> None:
    winner, loser, deleted = (org.create("Account", {"Name": name}) for name in ("Alder", "Birch", "Cedar"))
    contact = org.create("Contact", {"LastName": "Ray", "AccountId": loser})
    org.merge("Account", winner, [loser])
    org.delete("Account", deleted)
    rows = await salesforce.read("Account", [winner, loser, deleted])
    assert {row.record_id: (row.exists, row.merged_into) for row in rows} == {
        winner: (True, None),
        loser: (False, winner),
        deleted: (False, None),
    }
    assert org.rows("Contact")[contact]["AccountId"] == winner
