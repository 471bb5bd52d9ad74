"""The simulated Finance & Operations environment on the wire: OData, $batch, metadata, events (dynamics.md §5)."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from isthmus.simulators.operations import CUSTOMER, ORDER, PRODUCT, OperationsEnvironment, serve_operations

ALL = "cross-company=true"


@dataclass
class Client:
    """Somebody with a token."""

    session: aiohttp.ClientSession
    url: str
    environment: OperationsEnvironment
    headers: dict[str, str] = field(default_factory=dict)

    async def login(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.environment.client_id,
            "client_secret": self.environment.client_secret,
            "scope": f"{self.url}/.default",
        }
        async with self.session.post(f"{self.url}/{self.environment.tenant}/oauth2/v2.0/token", data=form) as answer:
            self.headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any, Mapping[str, str]]:
        headers = {**self.headers, **options.pop("headers", {})}
        target = URL(f"{self.url}{path}", encoded=True)
        async with self.session.request(method, target, headers=headers, **options) as answer:
            raw = await answer.read()
            kind = answer.headers.get("Content-Type", "")
            return answer.status, json.loads(raw) if "json" in kind else raw.decode(), answer.headers


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    environment = OperationsEnvironment(seed=7)
    environment.create(CUSTOMER, {"CustomerAccount": "US-001", "OrganizationName": "Alder"})
    environment.create(PRODUCT, {"ItemNumber": "D-1"})
    async with serve_operations(environment) as url, aiohttp.ClientSession() as session:
        one = Client(session, url, environment)
        await one.login()
        yield one


def inner(body: Any) -> str:
    assert body["error"]["message"] == "An error has occurred."
    return str(body["error"]["innererror"]["message"])


async def test_a_post_is_201_with_a_number_of_its_own_and_a_repeat_is_another_order(client: Client) -> None:
    order = {"dataAreaId": "USMF", "OrderingCustomerAccountNumber": "US-001", "CurrencyCode": "USD"}
    status, body, headers = await client.ask("POST", "/data/SalesOrderHeadersV2", json=order)
    assert status == 201
    assert (body["dataAreaId"], body["SalesOrderNumber"]) == ("usmf", "SO-000001")
    assert headers["Location"].endswith("/data/SalesOrderHeadersV2(dataAreaId='usmf',SalesOrderNumber='SO-000001')")
    decoded = base64.b64decode(headers["ETag"].removeprefix('W/"').removesuffix('"')).decode()
    assert decoded.startswith("'1,")
    assert body["RequestedShippingDate"] == "1900-01-01T12:00:00Z"
    assert body["CustomersOrderReference"] == ""
    status, body, _ = await client.ask("POST", "/data/SalesOrderHeadersV2", json=order)
    assert (status, body["SalesOrderNumber"]) == (201, "SO-000002")


async def test_a_patch_is_204_under_its_etag_and_412_under_another(client: Client) -> None:
    path = f"/data/CustomersV3(dataAreaId='usmf',CustomerAccount='US-001')?{ALL}"
    _, body, _ = await client.ask("GET", path)
    old = {"If-Match": body["@odata.etag"]}
    assert (await client.ask("PATCH", path, json={"OrganizationName": "Birch"}, headers=old))[:2] == (204, "")
    assert (await client.ask("PATCH", path, json={"OrganizationName": "Cedar"}, headers=old))[0] == 412
    assert (
        client.environment.rows(CUSTOMER)["dataAreaId='usmf',CustomerAccount='US-001'"]["OrganizationName"] == "Birch"
    )
    assert (await client.ask("DELETE", path))[0] == 204
    assert (await client.ask("GET", path))[0] == 404
    assert (await client.ask("PATCH", path, json={"OrganizationName": "Cedar"}))[0] == 404


async def test_other_companies_are_seen_only_across_companies(client: Client) -> None:
    client.environment.create(CUSTOMER, {"dataAreaId": "dat", "CustomerAccount": "X", "OrganizationName": "Birch"})
    for query, count in (("", 1), (f"?{ALL}", 2), ("?cross-company=false", 1)):
        _, body, _ = await client.ask("GET", f"/data/CustomersV3{query}")
        assert len(body["value"]) == count
    assert (await client.ask("GET", "/data/CustomersV3(dataAreaId='dat',CustomerAccount='X')"))[0] == 404
    assert (await client.ask("GET", f"/data/CustomersV3(CustomerAccount='x',dataAreaId='DAT')?{ALL}"))[0] == 200


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("OrganizationName eq 'alder'", 1),
        ("OrganizationName ne 'Alder' or CreditLimit eq 0", 1),
        ("CreditLimitIsMandatory eq Microsoft.Dynamics.DataEntities.NoYes'No'", 1),
        ("CreditLimitIsMandatory eq Microsoft.Dynamics.DataEntities.NoYes'Yes'", 0),
        ("not (CreditLimit gt 5) and startswith(OrganizationName,'Al')", 1),
        ("CreditLimitIsMandatory eq 'No'", None),
        ("CreditLimitIsMandatory gt Microsoft.Dynamics.DataEntities.NoYes'No'", None),
        ("OrganizationName in ('Alder')", None),
        ("Nonsense eq 'x'", None),
        ("OrganizationName eq", None),
        ("OrganizationName eq 'x' nonsense", None),
    ],
)
async def test_a_filter_is_understood_as_f_and_o_does(client: Client, condition: str, found: int | None) -> None:
    encoded = URL.build(query={"$filter": condition}).raw_query_string
    status, body, _ = await client.ask("GET", f"/data/CustomersV3?{encoded}")
    assert (status, len(body.get("value", []))) == ((200, found) if found is not None else (400, 0))


async def test_pages_select_order_and_counts(client: Client) -> None:
    client.environment.page = 4
    for number in range(10):
        client.environment.create(PRODUCT, {"ItemNumber": f"P-{number}", "SearchName": f"{9 - number}"})
    path: str | None = "/data/ReleasedProductsV2?$select=ItemNumber&$orderby=SearchName%20desc&$count=true"
    numbers: list[str] = []
    while path:
        _, body, _ = await client.ask("GET", path)
        assert body["@odata.count"] == 11
        assert all(set(row) == {"@odata.etag", "ItemNumber"} for row in body["value"])
        numbers += [row["ItemNumber"] for row in body["value"]]
        path = body.get("@odata.nextLink", "").removeprefix(client.url) or None
    assert numbers == [*(f"P-{number}" for number in range(10)), "D-1"]
    _, body, _ = await client.ask("GET", "/data/ReleasedProductsV2?$top=2&$skip=3&$select=ItemNumber")
    assert [row["ItemNumber"] for row in body["value"]] == ["P-2", "P-3"]
    assert (await client.ask("GET", "/data/ReleasedProductsV2/$count"))[1] == "11"
    assert (await client.ask("GET", "/data/ReleasedProductsV2?$select=Nonsense"))[0] == 400


@pytest.mark.parametrize(
    ("collection", "body", "told"),
    [
        ("SalesOrderHeadersV2", {"OrderingCustomerAccountNumber": "US-9"}, "is not found in the related table"),
        ("SalesOrderHeadersV2", {}, "must be filled in"),
        ("CustomersV3", {"OrganizationName": "x" * 101}, "is longer than 100"),
        ("CustomersV3", {"OrganizationName": "x", "CustomerAccount": "us-001"}, "already exists"),
        ("CustomersV3", {"Nonsense": 1}, "The property 'Nonsense' does not exist"),
        ("CustomersV3", {"OrganizationName": "x", "CreditLimitIsMandatory": "Maybe"}, "conversion error"),
        ("SalesInvoiceHeadersV2", {}, "read-only"),
    ],
)
async def test_a_refused_write_says_why_below_a_message_that_does_not(
    client: Client, collection: str, body: dict[str, Any], told: str
) -> None:
    status, answer, _ = await client.ask("POST", f"/data/{collection}", json=body)
    assert status == 400
    assert told in inner(answer)


async def test_a_changeset_is_all_or_nothing_and_the_batch_is_200_anyway(client: Client) -> None:
    def part(number: int, body: dict[str, Any]) -> str:
        head = f"Content-Type: application/http\nContent-Transfer-Encoding: binary\nContent-ID: {number}\n\n"
        request = f"POST {client.url}/data/CustomersV3?{ALL} HTTP/1.1\nContent-Type: application/json\n\n"
        return f"--set\n{head}{request}{json.dumps(body)}\n"

    def batch(*parts: str) -> str:
        return f"--b\nContent-Type: multipart/mixed; boundary=set\n\n{''.join(parts)}--set--\n--b--\n"

    headers = {"Content-Type": 'multipart/mixed; boundary="b"'}
    good, bad = part(1, {"OrganizationName": "Birch"}), part(2, {"OrganizationName": ""})
    status, text, _ = await client.ask("POST", "/data/$batch", data=batch(good, bad), headers=headers)
    assert status == 200
    assert "HTTP/1.1 500 Internal Server Error" in text
    assert "Content-ID: 2" in text
    assert len(client.environment.rows(CUSTOMER)) == 1
    data = batch(good).replace("\n", "\r\n")
    status, text, _ = await client.ask("POST", "/data/$batch", data=data, headers=headers)
    assert "HTTP/1.1 201 Created" in text
    assert len(client.environment.rows(CUSTOMER)) == 2


async def test_low_priority_is_throttled_first(client: Client) -> None:
    client.environment.exhausted, client.environment.retry_after = "low", 3
    assert (await client.ask("GET", "/data/CustomersV3"))[0] == 200
    client.environment.priority = "low"
    status, _, headers = await client.ask("GET", "/data/CustomersV3")
    assert (status, headers["Retry-After"]) == (429, "3")


async def test_metadata_names_sets_keys_and_types(client: Client) -> None:
    _, body, _ = await client.ask("GET", "/Metadata/DataEntities")
    names = {one["Name"]: one["PublicEntityName"] for one in body["value"]}
    _, body, _ = await client.ask("GET", f"/metadata/PublicEntities('{names[ORDER]}')")
    assert body["EntitySetName"] == "SalesOrderHeadersV2"
    columns = {one["Name"]: one for one in body["Properties"]}
    assert [name for name, one in columns.items() if one["IsKey"]] == ["dataAreaId", "SalesOrderNumber"]
    assert columns["SalesOrderStatus"]["TypeName"] == "Microsoft.Dynamics.DataEntities.SalesStatus"
    assert (await client.ask("GET", "/metadata/PublicEntities('Nonsense')"))[0] == 404


async def test_without_a_token_nothing_is_told(client: Client) -> None:
    client.environment.expire_tokens()
    assert (await client.ask("GET", "/data/CustomersV3"))[0] == 401


# -- events


@dataclass
class Receiver:
    """Somebody who takes events, after so many refusals."""

    refusals: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=500)
        self.bodies.append(body)
        return web.Response(status=200)


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    one = Receiver()
    app = web.Application()
    app.router.add_post("/", one.take)
    async with TestServer(app) as server:
        yield one, str(server.make_url("/"))


async def test_a_posted_invoice_is_told_with_a_rising_number(client: Client, receiver: tuple[Receiver, str]) -> None:
    taken, url = receiver
    client.environment.activate("SalesInvoicePostedBusinessEvent", url)
    for number in (1, 2):
        order = client.environment.create(ORDER, {"OrderingCustomerAccountNumber": "US-001"})
        client.environment.post_invoice(order, f"INV-{number}", 10.5)
    await client.environment.until_settled()
    first, second = sorted(taken.bodies, key=lambda body: body["ControlNumber"])
    assert (first["SalesOrderId"], first["InvoiceId"], first["LegalEntity"]) == ("SO-000001", "INV-1", "usmf")
    assert first["EventId"] != second["EventId"]
    assert first["ControlNumber"] < second["ControlNumber"]


async def test_data_events_come_through_dataverse_and_a_delete_has_its_image(
    client: Client, receiver: tuple[Receiver, str]
) -> None:
    taken, url = receiver
    client.environment.activate_data_events(CUSTOMER, url)
    one = client.environment.create(CUSTOMER, {"OrganizationName": "Birch", "CreditLimitIsMandatory": "Yes"})
    client.environment.update(CUSTOMER, one, {"OrganizationName": "Cedar"})
    client.environment.delete(CUSTOMER, one)
    await client.environment.until_settled()
    told = {body["MessageName"]: body for body in taken.bodies}
    assert set(told) == {"OnExternalCreated", "OnExternalUpdated", "OnExternalDeleted"}
    created = {one["key"]: one["value"] for one in told["OnExternalCreated"]["InputParameters"]}["Target"]
    attributes = {one["key"]: one["value"] for one in created["Attributes"]}
    assert created["LogicalName"] == "mserp_custcustomerv3entity"
    assert (attributes["mserp_dataareaid"], attributes["mserp_organizationname"]) == ("usmf", "Birch")
    assert attributes["mserp_creditlimitismandatory"]["Value"] == 200000001
    deleted = {one["key"]: one["value"] for one in told["OnExternalDeleted"]["InputParameters"]}
    assert "Attributes" not in deleted["Target"]
    assert deleted["PreImage"]["Id"] == deleted["Target"]["Id"] == created["Id"]


@pytest.mark.parametrize(("refusals", "taken_now"), [(2, True), (3, False)])
async def test_an_event_is_tried_three_times_and_then_waits_for_a_person(
    client: Client, receiver: tuple[Receiver, str], refusals: int, taken_now: bool
) -> None:
    taken, url = receiver
    taken.refusals, client.environment.retry_wait = refusals, 0.01
    client.environment.activate("SomeBusinessEvent", url)
    client.environment.raise_event("SomeBusinessEvent", {}, "usmf")
    await client.environment.until_settled()
    assert (len(taken.bodies), len(client.environment.errors)) == ((1, 0) if taken_now else (0, 1))
    client.environment.resend()
    await client.environment.until_settled()
    assert len(taken.bodies) == 1


async def test_events_come_twice_and_out_of_order_when_that_is_ordered(
    client: Client, receiver: tuple[Receiver, str]
) -> None:
    taken, url = receiver
    client.environment.duplicate_every, client.environment.shuffle = 3, True
    client.environment.activate("SomeBusinessEvent", url)
    for _ in range(12):
        client.environment.raise_event("SomeBusinessEvent", {}, "usmf")
    await client.environment.until_settled()
    numbers = [body["ControlNumber"] for body in taken.bodies]
    assert (len(numbers), len(set(numbers))) == (16, 12)
    assert numbers != sorted(numbers)


async def test_events_that_are_lost_wait_for_a_person_and_others_come_late(
    client: Client, receiver: tuple[Receiver, str]
) -> None:
    taken, url = receiver
    client.environment.drop_every, client.environment.delay = 3, 0.05
    client.environment.activate("SomeBusinessEvent", url)
    for _ in range(6):
        client.environment.raise_event("SomeBusinessEvent", {}, "usmf")
    await client.environment.until_settled()
    numbers = [body["ControlNumber"] for body in taken.bodies]
    assert (len(numbers), len(client.environment.errors)) == (4, 2)
    assert numbers != sorted(numbers), "each waited for a time of its own"
    client.environment.drop_every = 0
    client.environment.resend()
    await client.environment.until_settled()
    assert len(taken.bodies) == 6


async def test_a_write_that_is_taken_back_tells_nobody(client: Client, receiver: tuple[Receiver, str]) -> None:
    taken, url = receiver
    client.environment.activate_data_events(CUSTOMER, url)
    client.environment.roll_back()
    status, body, _ = await client.ask("POST", "/data/CustomersV3", json={"OrganizationName": "Birch"})
    assert status == 400
    assert "rolled back" in body["error"]["innererror"]["message"]
    await client.environment.until_settled()
    assert taken.bodies == []
    assert len(client.environment.rows(CUSTOMER)) == 1
