"""The simulated org through simple-salesforce, unmodified: REST, batches, Bulk API 2.0."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("simple_salesforce", reason="simple-salesforce is not installed: pip install -e '.[strangers]'")

import requests
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


async def test_a_write_that_is_made_to_fail_fails_as_the_real_org_would(org: SalesforceOrg, url: str) -> None:
    fault = refused(400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records: 001")
    org.fail_next(1, fault.status, fault.body)

    def locked() -> None:
        client = log_in(org, url)
        with pytest.raises(SalesforceMalformedRequest, match="UNABLE_TO_LOCK_ROW"):
            client.Account.create({"Name": "x"})
        assert client.Account.create({"Name": "x"})["success"]

    await asyncio.to_thread(locked)
