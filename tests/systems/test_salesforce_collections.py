"""Many writes to Salesforce at once: fewer calls, the same answers."""

from __future__ import annotations

import pytest
from sforg import joined, upsert

from isthmus.config.errors import ConflictError, PermanentError, PlatformError, TransientError
from isthmus.simulators.salesforce import SalesforceOrg
from isthmus.systems.protocol import Write, Written
from isthmus.systems.salesforce.write import SINGLES


@pytest.fixture
def org() -> SalesforceOrg:
    return SalesforceOrg(seed=5)


def calls_of(org: SalesforceOrg) -> int:
    """How often the org was called since this was asked last."""
    calls, org.requests = org.requests, 0
    return calls


def codes(answers: list[Written | PlatformError]) -> list[str]:
    return [answer.code if isinstance(answer, PlatformError) else "ok" for answer in answers]


async def test_few_are_calls_of_their_own_and_many_go_by_the_hundreds(org: SalesforceOrg) -> None:
    async with joined(org) as salesforce:
        await salesforce.write([upsert(number) for number in range(SINGLES)])
        assert calls_of(org) == SINGLES
        answers = await salesforce.write([upsert(number) for number in range(450)])
        assert calls_of(org) == 3
    created = [isinstance(answer, Written) and answer.created for answer in answers]
    assert created == [False] * SINGLES + [True] * (450 - SINGLES)
    stored = org.rows("Account")
    assert [stored[one.record_id]["Name"] for one in answers if isinstance(one, Written)] == [
        f"N{number}" for number in range(450)
    ]


async def test_answers_come_in_the_order_of_the_writes_whatever_they_are(org: SalesforceOrg) -> None:
    known = [org.create("Account", {"Name": f"K{number}"}) for number in range(3)]
    contact = org.create("Contact", {"LastName": "Moss"})
    writes = [
        upsert(1),
        Write("Account", "can-k0", known[0], {"Phone": "1", "Isthmus_Id__c": "can-k0"}),
        Write("Nonsense", "can-n", None, {}),
        Write("Contact", "can-c", contact, {"Title": "Buyer"}),
        Write("Contact", "can-d", None, {"LastName": "Reed"}),
        Write("Account", "can-k1", known[1], {"Phone": "2"}),
        upsert(2),
    ]
    async with joined(org) as salesforce:
        answers = await salesforce.write(writes)
    assert codes(answers) == ["ok", "ok", "UNMAPPED", "ok", "ok", "ok", "ok"]
    ids = [answer.record_id if isinstance(answer, Written) else "" for answer in answers]
    assert (ids[1], ids[3], ids[5]) == (known[0], contact, known[1])
    assert org.rows("Account")[known[0]]["Isthmus_Id__c"] == "can-k0"
    assert org.rows("Contact")[ids[4]]["LastName"] == "Reed"


async def test_a_record_that_is_refused_holds_up_no_other(org: SalesforceOrg) -> None:
    locked, gone, merged = (org.create("Account", {"Name": name}) for name in ("a", "b", "c"))
    org.delete("Account", gone)
    org.faults.lock([locked])
    org.create("Account", {"Name": "x", "Isthmus_Id__c": "can-twice"})
    org.create("Account", {"Name": "y", "Isthmus_Id__c": "can-twice"})
    writes = [
        upsert(1),
        upsert("long", Name="x" * 300),
        upsert("twice"),
        upsert(2),
        Write("Account", "can-a", locked, {"Phone": "1"}),
        Write("Account", "can-b", gone, {"Phone": "1"}),
        Write("Account", "can-c", merged, {"Phone": "1"}),
        Write("Account", "can-z", "001000000000042AAA", {"Phone": "1"}),
    ]
    async with joined(org) as salesforce:
        answers = await salesforce.write(writes)
    assert codes(answers) == [
        *("ok", "STRING_TOO_LONG", "DUPLICATE_EXTERNAL_ID", "ok"),
        *("UNABLE_TO_LOCK_ROW", "ENTITY_IS_DELETED", "ok", "NOT_FOUND"),
    ]
    kinds = [type(answers[place]) for place in (1, 2, 4, 5, 7)]
    assert kinds == [PermanentError, PermanentError, TransientError, ConflictError, ConflictError]
    assert all(answer.hint for answer in (answers[2],) if isinstance(answer, PlatformError))


async def test_a_call_that_fails_is_the_error_of_its_records_and_not_of_others(org: SalesforceOrg) -> None:
    org.fail_next(1, 503, [{"errorCode": "SERVER_UNAVAILABLE", "message": "busy"}], retry_after=9)
    async with joined(org) as salesforce:
        answers = await salesforce.write([upsert(number) for number in range(400)])
        failed = [place for place, answer in enumerate(answers) if isinstance(answer, TransientError)]
        assert failed in (list(range(200)), list(range(200, 400)))
        assert {answer.retry_after for answer in answers if isinstance(answer, TransientError)} == {9.0}
        assert codes(await salesforce.write([upsert(number) for number in range(400)])) == ["ok"] * 400
    assert len(org.rows("Account")) == 400


async def test_an_answer_that_never_came_is_repeated_without_harm(org: SalesforceOrg) -> None:
    org.faults.cut(path="/composite/sobjects")
    async with joined(org) as salesforce:
        first = await salesforce.write([upsert(number) for number in range(50)])
        assert set(codes(first)) == {"NETWORK"}
        again = await salesforce.write([upsert(number) for number in range(50)])
    assert not any(answer.created for answer in again if isinstance(answer, Written))
    assert len(org.rows("Account")) == 50


async def test_a_token_that_ends_in_the_middle_is_renewed_once(org: SalesforceOrg) -> None:
    async with joined(org) as salesforce:
        org.faults.expire(path="/composite/sobjects")
        logins = org.logins
        assert codes(await salesforce.write([upsert(number) for number in range(1000)])) == ["ok"] * 1000
        assert org.logins == logins + 1


async def test_an_upsert_that_raced_inside_a_batch_is_tried_once_more(org: SalesforceOrg) -> None:
    org.create("Account", {"Name": "Alder", "Isthmus_Id__c": "can-1"})
    raced = [{"success": False, "errors": [{"statusCode": "DUPLICATE_VALUE", "message": "x", "fields": []}]}] * 5
    org.fail_next(1, 200, raced)
    async with joined(org) as salesforce:
        answers = await salesforce.write([upsert(number) for number in range(5)])
    assert [isinstance(answer, Written) and answer.created for answer in answers] == [True, False, True, True, True]


@pytest.mark.parametrize(("saves", "told"), [(False, ["ok", "DUPLICATES_DETECTED"]), (True, ["ok", "ok"])])
@pytest.mark.parametrize("number", [1, 20])
async def test_a_duplicate_rule_is_obeyed_or_overruled_as_it_is_set(
    org: SalesforceOrg, saves: bool, told: list[str], number: int
) -> None:
    org.faults.duplicate_rules = {"Account": "Phone"}
    org.create("Account", {"Name": "Alder", "Phone": "1"})
    writes = [upsert(place, Phone=str(place)) for place in range(2, number + 1)]
    async with joined(org, allow_duplicates=saves) as salesforce:
        answers = await salesforce.write([*writes, upsert("same", Phone="1")])
    assert sorted(set(codes([Written("", None, True), *answers]))) == sorted(set(told))
    assert all(answer.hint for answer in answers if isinstance(answer, PlatformError))


async def test_our_own_name_is_on_batches_where_the_org_passes_it_on(org: SalesforceOrg) -> None:
    async with joined(org, client_name="bridge") as salesforce:
        await salesforce.write([upsert(number) for number in range(20)])
    origins = {event.message["payload"]["ChangeEventHeader"]["changeOrigin"] for event in org.events}
    assert origins == {"com/salesforce/api/rest/60.0;client=bridge"}


async def test_the_daily_quota_is_known(org: SalesforceOrg) -> None:
    async with joined(org) as salesforce:
        assert salesforce.limits == ()
        await salesforce.write([upsert(1)])
        (first,) = salesforce.limits
        await salesforce.write([upsert(2)])
        (second,) = salesforce.limits
    assert (first.name, first.used, second.used, first.allowed) == ("daily", 1, 2, org.daily_requests)
    assert second.pace > first.pace == 0
