"""The simulated org through clients that others wrote, unmodified: simple-salesforce and aiosfstream-ng."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiosfstream_ng.auth
import pytest
import requests
from aiosfstream_ng import PasswordAuthenticator, SalesforceStreamingClient
from aiosfstream_ng.replay import ReplayOption
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)

from isthmus.simulators.salesforce import SalesforceOrg, refused, serve_salesforce


@pytest.fixture
def org() -> SalesforceOrg:
    """An org of its own for each test."""
    return SalesforceOrg(seed=3)


@pytest.fixture
async def url(org: SalesforceOrg) -> AsyncIterator[str]:
    """The org's address."""
    async with serve_salesforce(org, hold=5.0) as url:
        yield url


class ToSimulator(HTTPAdapter):
    """simple-salesforce insists on https and a Salesforce domain; this sends it to the simulator instead."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        assert request.url is not None
        request.url = self._url + "/" + request.url.split("/", 3)[3]
        return super().send(request, **options)


def log_in(org: SalesforceOrg, url: str) -> Salesforce:
    """simple-salesforce, logged in by the client credentials flow."""
    session = requests.Session()
    session.mount("https://", ToSimulator(url))
    return Salesforce(
        consumer_key=org.client_id,
        consumer_secret=org.client_secret,
        domain="example.my",
        session=session,
        instance_url="https://example.my.salesforce.com",
        version="60.0",
    )


def crud(org: SalesforceOrg, url: str) -> None:
    """What simple-salesforce's users do all day."""
    client = log_in(org, url)
    made = client.Account.create({"Name": "Alder", "NumberOfEmployees": 7, "BillingCity": "Lyon"})
    assert made["success"]
    account = made["id"]
    assert len(account) == 18
    assert client.Account.get(account)["BillingCity"] == "Lyon"
    assert client.Account.update(account, {"Phone": "1"}) == 204
    assert client.Account.upsert("Isthmus_Id__c/c-1", {"Name": "Birch"}) == 201
    assert client.Account.upsert("Isthmus_Id__c/c-1", {"Name": "Birch & Sons"}) == 200
    assert client.Account.get_by_custom_id("Isthmus_Id__c", "c-1")["Name"] == "Birch & Sons"
    found = client.query(f"SELECT Id, Name FROM Account WHERE Id IN ('{account}')")
    assert [(row["Id"], row["Name"]) for row in found["records"]] == [(account, "Alder")]
    assert client.Account.describe()["keyPrefix"] == "001"
    assert client.Account.delete(account) == 204
    with pytest.raises(SalesforceResourceNotFound):
        client.Account.get(account)


async def test_simple_salesforce_creates_reads_updates_upserts_queries_and_deletes(
    org: SalesforceOrg, url: str
) -> None:
    await asyncio.to_thread(crud, org, url)


async def test_simple_salesforce_understands_what_is_refused(org: SalesforceOrg, url: str) -> None:
    def refusals() -> None:
        client = log_in(org, url)
        for fields, code in (
            ({"Nmae": "x"}, "INVALID_FIELD"),
            ({"Phone": "1"}, "REQUIRED_FIELD_MISSING"),
            ({"Name": "x" * 300}, "STRING_TOO_LONG"),
        ):
            with pytest.raises(SalesforceMalformedRequest) as caught:
                client.Account.create(fields)
            assert caught.value.content[0]["errorCode"] == code
        for name in "ab":
            org.create("Account", {"Name": name, "Isthmus_Id__c": "twice"})
        with pytest.raises(SalesforceMoreThanOneRecord):
            client.Account.upsert("Isthmus_Id__c/twice", {"Name": "c"})

    await asyncio.to_thread(refusals)


async def test_simple_salesforce_logs_in_again_when_its_session_ends(org: SalesforceOrg, url: str) -> None:
    def through_expiry() -> None:
        client = log_in(org, url)
        before = client.session_id
        org.expire_tokens()
        assert client.Account.describe()["name"] == "Account"
        assert client.session_id != before

    await asyncio.to_thread(through_expiry)


def in_bulk(org: SalesforceOrg, url: str) -> None:
    """Bulk API 2.0: in by CSV, out by pages."""
    accounts = log_in(org, url).bulk2.Account
    rows = [{"Isthmus_Id__c": f"c-{number}", "Name": f'N{number}, "q"'} for number in range(450)]
    rows[7]["Name"] = "x" * 300
    (job,) = accounts.upsert(records=rows, external_id_field="Isthmus_Id__c", wait=0)
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (450, 1)
    failed = list(csv.DictReader(io.StringIO(accounts.get_failed_records(job["job_id"]))))
    assert [row["sf__Error"].partition(":")[0] for row in failed] == ["STRING_TOO_LONG"]
    done = list(csv.DictReader(io.StringIO(accounts.get_successful_records(job["job_id"]))))
    assert {row["sf__Created"] for row in done} == {"true"}
    assert all(org.rows("Account")[row["sf__Id"]]["Isthmus_Id__c"] == row["Isthmus_Id__c"] for row in done[:20])
    assert accounts.get_unprocessed_records(job["job_id"]).strip().count("\n") == 0
    pages = list(accounts.query("SELECT Id, Name FROM Account", max_records=200))
    assert [len(list(csv.DictReader(io.StringIO(page)))) for page in pages] == [200, 200, 49]


async def test_simple_salesforce_writes_and_reads_in_bulk(org: SalesforceOrg, url: str) -> None:
    await asyncio.to_thread(in_bulk, org, url)


def in_batches(org: SalesforceOrg, url: str) -> None:
    """Collections, Composite, Graph and pages, by the library's plain calls."""
    client = log_in(org, url)
    records = [{"attributes": {"type": "Account"}, "Name": name} for name in ("Alder", "", "Birch")]
    told = client.restful("composite/sobjects", method="POST", json={"allOrNone": False, "records": records})
    assert [one["success"] for one in told] == [True, False, True]
    assert told[1]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    base = "/services/data/v60.0/sobjects"
    calls = [
        {"method": "POST", "url": f"{base}/Account", "referenceId": "a", "body": {"Name": "Cedar"}},
        {"method": "POST", "url": f"{base}/Contact", "referenceId": "c", "body": {"AccountId": "@{a.id}"}},
    ]
    whole = client.restful("composite", method="POST", json={"allOrNone": True, "compositeRequest": calls})
    codes = [one["body"][0]["errorCode"] for one in whole["compositeResponse"]]
    assert codes == ["PROCESSING_HALTED", "REQUIRED_FIELD_MISSING"]
    calls[1]["body"] = {"AccountId": "@{a.id}", "LastName": "Moss"}
    graphs = [{"graphId": "1", "compositeRequest": calls}, {"graphId": "2", "compositeRequest": calls[1:]}]
    graph = client.restful("composite/graph", method="POST", json={"graphs": graphs})
    assert [one["isSuccessful"] for one in graph["graphs"]] == [True, False]
    (moss,) = org.rows("Contact").values()
    assert org.rows("Account")[moss["AccountId"]]["Name"] == "Cedar"
    org.page_rows = 2
    found = client.query_all("SELECT Name FROM Account WHERE Name != 'Alder' OR Phone = null ORDER BY Name")
    assert [row["Name"] for row in found["records"]] == ["Alder", "Birch", "Cedar"]
    client.Account.delete(moss["AccountId"])
    start, end = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(minutes=2)
    assert [one["id"] for one in client.Account.deleted(start, end)["deletedRecords"]] == [moss["AccountId"]]
    assert len(client.Account.updated(start, end)["ids"]) == 2


async def test_simple_salesforce_writes_in_batches_and_reads_in_pages(org: SalesforceOrg, url: str) -> None:
    await asyncio.to_thread(in_batches, org, url)


# -- aiosfstream-ng


def streaming(org: SalesforceOrg, replay: Any) -> SalesforceStreamingClient:
    """The library's own client; it knows only login by password."""
    return SalesforceStreamingClient(
        consumer_key=org.client_id,
        consumer_secret=org.client_secret,
        username=org.username,
        password=org.password,
        replay=replay,
    )


@pytest.fixture
def login_here(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library has no option for another login host than Salesforce's own."""
    monkeypatch.setattr(aiosfstream_ng.auth, "TOKEN_URL", f"{url}/services/oauth2/token")
    assert PasswordAuthenticator is not None


async def heard(client: SalesforceStreamingClient, number: int) -> list[dict[str, Any]]:
    """The next messages."""
    async with asyncio.timeout(20):
        return [await client.receive() for _ in range(number)]


@pytest.mark.usefixtures("login_here")
async def test_aiosfstream_replays_what_was_and_hears_what_comes(org: SalesforceOrg) -> None:
    account = org.create("Account", {"Name": "Alder", "BillingCity": "Lyon"})
    org.create("Contact", {"LastName": "Moss"})
    async with streaming(org, ReplayOption.ALL_EVENTS) as client:
        await client.subscribe("/data/ChangeEvents")
        created, contact = await heard(client, 2)
        org.update("Account", account, {"BillingCity": None, "Phone": "1"})
        (updated,) = await heard(client, 1)
    payload = created["data"]["payload"]
    assert payload["BillingAddress"] == {"City": "Lyon"}
    assert payload["ChangeEventHeader"]["recordIds"] == [account]
    assert contact["data"]["payload"]["Name"] == {"LastName": "Moss"}
    payload = updated["data"]["payload"]
    assert payload["BillingAddress"] == {"City": None}
    changed = payload["ChangeEventHeader"]["changedFields"]
    assert set(changed) == {"BillingAddress.City", "Phone", "LastModifiedDate"}
    assert updated["data"]["event"]["replayId"] > contact["data"]["event"]["replayId"]


@pytest.mark.usefixtures("login_here")
async def test_aiosfstream_goes_on_after_a_replay_id_and_on_one_entitys_channel(org: SalesforceOrg) -> None:
    first = org.create("Account", {"Name": "Alder"})
    org.create("Contact", {"LastName": "Moss"})
    org.update("Account", first, {"Phone": "1"})
    replay = {"/data/AccountChangeEvent": org.events[0].replay_id}
    async with streaming(org, _Markers(replay)) as client:
        await client.subscribe("/data/AccountChangeEvent")
        (updated,) = await heard(client, 1)
    assert updated["data"]["payload"]["ChangeEventHeader"]["changeType"] == "UPDATE"


class _Markers(dict[str, Any]):
    """Replay markers by channel, as the library takes them from a mapping."""

    def __init__(self, ids: dict[str, int]) -> None:
        super().__init__({name: aiosfstream_ng.ReplayMarker(date="", replay_id=one) for name, one in ids.items()})


@pytest.mark.usefixtures("login_here")
async def test_aiosfstream_comes_back_after_the_server_forgot_it(org: SalesforceOrg) -> None:
    async with streaming(org, ReplayOption.NEW_EVENTS) as client:
        await client.subscribe("/data/ChangeEvents")
        org.forget_clients()
        async with asyncio.timeout(20):
            org.create("Account", {"Name": "Alder"})
            waiting = asyncio.create_task(client.receive())
            while not waiting.done():
                org.create("Contact", {"LastName": "Moss"})  # until one is heard in the new session
                await asyncio.wait({waiting}, timeout=0.2)
    assert waiting.result()["data"]["payload"]["ChangeEventHeader"]["changeType"] == "CREATE"


async def test_a_write_that_is_made_to_fail_fails_as_the_real_org_would(org: SalesforceOrg, url: str) -> None:
    fault = refused(400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records: 001")
    org.fail_next(1, fault.status, fault.body)

    def locked() -> None:
        client = log_in(org, url)
        with pytest.raises(SalesforceMalformedRequest, match="UNABLE_TO_LOCK_ROW"):
            client.Account.create({"Name": "x"})
        assert client.Account.create({"Name": "x"})["success"]

    await asyncio.to_thread(locked)
