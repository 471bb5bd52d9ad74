"""Every record of an object, or what changed since: by query, by bulk job, with the deleted ones."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from sforg import OBJECTS, joined

from isthmus.config.errors import PermanentError, ReplayLost, TransientError
from isthmus.simulators.salesforce import SalesforceOrg
from isthmus.systems.protocol import Row
from isthmus.systems.salesforce import jobs, scan
from isthmus.systems.salesforce.adapter import Salesforce


class Clock:
    """The org's time; now, unless it is set."""

    ago = timedelta()

    def __call__(self) -> float:
        return (datetime.now(UTC) - self.ago).timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def org(clock: Clock) -> SalesforceOrg:
    return SalesforceOrg(seed=9, clock=clock)


@pytest.fixture(params=["query", "job"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of reading have to give the same."""
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0.01)
    return str(request.param)


def rows_of(salesforce: Salesforce, way: str, since: str | None = None) -> AsyncIterator[Row]:
    return scan.scan(salesforce._org, OBJECTS["Account"], since, bulk=0 if way == "job" else 10**9)


async def collected(salesforce: Salesforce, way: str, since: str | None = None) -> dict[str, Row]:
    rows = [row async for row in rows_of(salesforce, way, since)]
    assert len({row.record_id for row in rows}) == len(rows)
    return {row.record_id: row for row in rows}


def told(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


async def test_a_scan_gives_every_record_as_a_read_gives_it(org: SalesforceOrg, way: str) -> None:
    ids = [org.create("Account", {"Name": f"N{n}", "Credit_Limit__c": n / 4, "Phone": "1, 2"}) for n in range(450)]
    ids.append(org.create("Account", {"Name": 'ä "q"\nline', "NumberOfEmployees": 12, "Credit_Limit__c": 5.0}))
    gone = org.create("Account", {"Name": "gone"})
    org.delete("Account", gone)
    org.page_rows = 100
    async with joined(org) as salesforce:
        found = await collected(salesforce, way)
        assert list(found) == ids
        assert list(found.values()) == await salesforce.read("Account", ids)
        amounts = [(type(row.fields["Credit_Limit__c"]), row.fields["NumberOfEmployees"]) for row in found.values()]
        assert (amounts[-1], amounts[1]) == ((int, 12), (float, None))


async def test_a_scan_of_nothing_is_nothing(org: SalesforceOrg, way: str) -> None:
    async with joined(org) as salesforce:
        assert await collected(salesforce, way) == {}


async def test_a_scan_since_gives_what_changed_and_what_was_deleted(org: SalesforceOrg, clock: Clock, way: str) -> None:
    clock.ago = timedelta(days=3)
    old, changed, binned, purged, back = (org.create("Account", {"Name": name}) for name in "abcde")
    clock.ago = timedelta(days=1)
    org.update("Account", changed, {"Phone": "1"})
    for one in (binned, purged, back):
        org.delete("Account", one)
    org.purge("Account", purged)
    org.undelete("Account", back)
    clock.ago = timedelta()
    new = org.create("Account", {"Name": "f"})
    async with joined(org) as salesforce:
        found = await collected(salesforce, way, told(datetime.now(UTC) - timedelta(days=2)))
    there = {one: row.exists for one, row in found.items()}
    assert there == {changed: True, back: True, new: True, binned: False, purged: False}
    assert old not in found
    assert found[changed].fields["Phone"] == "1"
    assert not found[purged].fields


async def test_a_scan_since_names_what_getupdated_and_getdeleted_name(
    org: SalesforceOrg, clock: Clock, way: str
) -> None:
    ids = []
    for ago in range(20):
        clock.ago = timedelta(hours=ago)
        ids.append(org.create("Account", {"Name": f"N{ago}"}))
    clock.ago = timedelta(minutes=20)
    for one in ids[8:12]:
        org.update("Account", one, {"Phone": "1"})
    for one in ids[10:14]:
        org.delete("Account", one)
    clock.ago = timedelta()
    since = (datetime.now(UTC) - timedelta(hours=5, minutes=30)).replace(second=0)
    asked = urlencode(
        {"start": since.isoformat(timespec="seconds"), "end": told(datetime.now(UTC) + timedelta(hours=1))}
    )
    async with joined(org) as salesforce:
        found = await collected(salesforce, way, told(since))
        updated = await salesforce._org.get(f"/sobjects/Account/updated/?{asked}")
        deleted = await salesforce._org.get(f"/sobjects/Account/deleted/?{asked}")
    assert {one for one, row in found.items() if row.exists} == set(updated["ids"]) == {*ids[:6], *ids[8:10]}
    assert {one for one, row in found.items() if not row.exists} == {one["id"] for one in deleted["deletedRecords"]}
    assert set(ids[10:14]) <= found.keys()


async def test_what_was_deleted_a_moment_ago_is_told_even_where_the_org_lags(org: SalesforceOrg, way: str) -> None:
    one = org.create("Account", {"Name": "a"})
    org.delete("Account", one)
    org.covered_lag = 3600.0
    async with joined(org) as salesforce:
        found = await collected(salesforce, way, told(datetime.now(UTC) - timedelta(minutes=10)))
    assert {one: row.exists for one, row in found.items()} == {one: False}


async def test_deletions_that_nobody_can_tell_any_more_are_not_passed_over(org: SalesforceOrg, way: str) -> None:
    async with joined(org) as salesforce:
        with pytest.raises(ReplayLost) as caught:
            await collected(salesforce, way, told(datetime.now(UTC) - timedelta(days=40)))
    assert "compare" in caught.value.hint


async def test_pages_are_fetched_as_they_are_asked_for(org: SalesforceOrg, way: str) -> None:
    org.page_rows = 200
    for number in range(1000):
        org.create("Account", {"Name": f"N{number}"})
    async with joined(org) as salesforce, aclosing(rows_of(salesforce, way)) as rows:  # type: ignore[type-var]
        await anext(rows)
        asked = org.requests
        for _ in range(199):
            await anext(rows)
        assert org.requests == asked
        await anext(rows)
        assert org.requests == asked + 1


async def test_memory_is_a_pages_whatever_the_number_of_records(org: SalesforceOrg, way: str) -> None:
    org.page_rows = 200
    for number in range(6000):
        org.create("Account", {"Name": f"N{number}", "Description": "x" * 500})
    org.events.clear()
    async with joined(org) as salesforce:
        tracemalloc.start()
        try:
            number = 0
            async for _ in rows_of(salesforce, way):
                number += 1
                assert number % 2000 or held_by_systems() < 2_000_000
        finally:
            tracemalloc.stop()
    assert number == 6000


def held_by_systems() -> int:
    """Bytes that were allocated in the adapter's own lines and are still there."""
    ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/systems/*")])
    return sum(one.size for one in ours.statistics("filename"))


async def test_a_cursor_that_ended_is_transient(org: SalesforceOrg) -> None:
    org.page_rows = 200
    for number in range(500):
        org.create("Account", {"Name": f"N{number}"})
    org.faults.refuse("INVALID_QUERY_LOCATOR", "invalid query locator", path="/query/01g")
    async with joined(org) as salesforce:
        with pytest.raises(TransientError):
            await collected(salesforce, "query")


async def test_a_query_job_that_fails_is_transient(org: SalesforceOrg, way: str) -> None:
    org.create("Account", {"Name": "a"})
    org.faults.failing_jobs = 1
    async with joined(org) as salesforce:
        with pytest.raises(TransientError, match="bulk query job"):
            await collected(salesforce, "job")


async def test_by_default_a_small_object_is_queried_and_an_unmapped_one_refused(org: SalesforceOrg) -> None:
    one = org.create("Account", {"Name": "a"})
    async with joined(org) as salesforce:
        assert [row.record_id async for row in salesforce.scan("Account")] == [one]
        with pytest.raises(PermanentError):
            salesforce.scan("Nonsense")
        with pytest.raises(PermanentError):
            await collected(salesforce, "query", "yesterday")
