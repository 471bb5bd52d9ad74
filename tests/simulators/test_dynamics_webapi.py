"""The Web API and the Entra authority, request by request (dynamics.md §3)."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from isthmus.simulators.dynamics import (
    STANDARD_TABLES,
    Column,
    DynamicsEnvironment,
    Fault,
    Served,
    serve_dynamics,
    table,
)

VERSION = "/api/data/v9.2"
WHOLE = {"Prefer": "return=representation"}
GUID_ONE = "11111111-2222-4333-8444-555555555555"


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def code(self) -> str:
        return str(self.body["error"]["code"])


class Client:
    """A plain HTTP client with a token."""

    def __init__(self, session: aiohttp.ClientSession, url: str, environment: DynamicsEnvironment) -> None:
        self.session, self.url, self.environment = session, url, environment
        self.token = ""

    async def login(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.environment.client_id,
            "client_secret": self.environment.client_secret,
            "scope": f"{self.url}/.default",
        }
        async with self.session.post(f"{self.url}/{self.environment.tenant}/oauth2/v2.0/token", data=form) as response:
            assert response.status == 200, await response.text()
            self.token = (await response.json())["access_token"]

    async def __call__(
        self, method: str, path: str, json: Any = None, headers: Mapping[str, str] | None = None, **options: Any
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        url = f"{self.url}{VERSION}/{path}"
        async with self.session.request(method, url, json=json, headers=sent, **options) as response:
            text = await response.read()
            body = await response.json(content_type=None) if text and response.content_type.endswith("json") else text
            return Answer(response.status, response.headers, body)


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, 12, 0, 0, 750_000, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def environment(clock: Clock) -> DynamicsEnvironment:
    return DynamicsEnvironment(seed=3, clock=clock)


@pytest.fixture
async def served(environment: DynamicsEnvironment) -> AsyncIterator[Served]:
    async with serve_dynamics(environment) as served:
        yield served


@pytest.fixture
async def call(environment: DynamicsEnvironment, served: Served) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        client = Client(session, served.http_url, environment)
        await client.login()
        yield client


# -- Entra


async def test_the_authority_describes_itself_where_it_was_asked(
    environment: DynamicsEnvironment, served: Served
) -> None:
    url = f"{served.http_url}/{environment.tenant}/v2.0/.well-known/openid-configuration"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        found = await response.json()
    assert found["token_endpoint"] == f"{served.http_url}/{environment.tenant}/oauth2/v2.0/token"


async def test_the_secret_may_come_as_http_basic(environment: DynamicsEnvironment, served: Served) -> None:
    login = base64.b64encode(f"{environment.client_id}:{environment.client_secret}".encode()).decode()
    form = {"grant_type": "client_credentials", "scope": f"{served.http_url}/.default"}
    async with aiohttp.ClientSession() as session:
        url = f"{served.http_url}/{environment.tenant}/oauth2/v2.0/token"
        async with session.post(url, data=form, headers={"Authorization": f"Basic {login}"}) as response:
            assert response.status == 200
            assert (await response.json())["expires_in"] == 3599


@pytest.mark.parametrize(
    ("changed", "status", "error", "number"),
    [
        ({"client_secret": "no"}, 401, "invalid_client", 7000215),
        ({"client_id": GUID_ONE}, 400, "unauthorized_client", 700016),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"scope": "openid"}, 400, "invalid_scope", 70011),
    ],
)
async def test_entra_refuses_in_its_own_words(
    environment: DynamicsEnvironment, served: Served, changed: dict[str, str], status: int, error: str, number: int
) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": environment.client_id,
        "client_secret": environment.client_secret,
        "scope": f"{served.http_url}/.default",
        **changed,
    }
    async with aiohttp.ClientSession() as session:
        url = f"{served.http_url}/{environment.tenant}/oauth2/v2.0/token"
        async with session.post(url, data=form) as response:
            body = await response.json()
    assert (response.status, body["error"], body["error_codes"]) == (status, error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")


async def test_a_token_ends_on_demand_and_by_time(call: Client, environment: DynamicsEnvironment, clock: Clock) -> None:
    assert (await call("GET", "WhoAmI")).body["UserId"] == environment.application_user
    environment.expire_tokens()
    refused = await call("GET", "WhoAmI")
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer ")
    await call.login()
    assert (await call("GET", "WhoAmI")).status == 200
    clock.moment += timedelta(seconds=3600)
    assert (await call("GET", "WhoAmI")).status == 401


# -- the table of §3.2


async def test_an_upsert_by_key_does_not_tell_what_it_did(call: Client) -> None:
    answers = [await call("PATCH", "accounts(isthmus_id='a1')", {"name": "A"}) for _ in range(2)]
    assert [(one.status, one.body) for one in answers] == [(204, b""), (204, b"")]
    url = f"{call.url}{VERSION}/accounts(isthmus_id='a1')"
    assert [one.headers["OData-EntityId"] for one in answers] == [url, url]
    assert not any({"Location", "ETag"} & set(one.headers) for one in answers)


async def test_an_upsert_with_representation_tells_created_from_updated(call: Client) -> None:
    made, changed = [await call("PATCH", "accounts(isthmus_id='a1')", {"name": "A"}, WHOLE) for _ in range(2)]
    assert (made.status, changed.status) == (201, 200)
    for answer in (made, changed):
        assert answer.headers["Preference-Applied"] == "return=representation"
        assert answer.headers["ETag"] == answer.body["@odata.etag"] == f'W/"{answer.body["versionnumber"]}"'
        assert answer.body["isthmus_id"] == "a1"
    assert made.body["accountid"] == changed.body["accountid"]
    assert changed.body["versionnumber"] > made.body["versionnumber"]


async def test_if_match_star_only_updates(call: Client) -> None:
    by_key = await call("PATCH", "accounts(isthmus_id='a1')", {"name": "A"}, {"If-Match": "*"})
    by_id = await call("PATCH", f"accounts({GUID_ONE})", {"name": "A"}, {"If-Match": "*"})
    assert (by_key.status, by_key.code) == (404, "0x80060891")
    assert (by_id.status, by_id.code) == (404, "0x80040217")
    await call("PATCH", f"accounts({GUID_ONE})", {"name": "A"})
    assert (await call("PATCH", f"accounts({GUID_ONE})", {"name": "B"}, {"If-Match": "*"})).status == 204


async def test_if_none_match_star_only_creates(call: Client) -> None:
    only_new = {"If-None-Match": "*"}
    assert (await call("PATCH", "accounts(isthmus_id='a1')", {"name": "A"}, only_new)).status == 204
    again = await call("PATCH", "accounts(isthmus_id='a1')", {"name": "B"}, only_new)
    assert (again.status, again.code) == (412, "0x80040237")
    assert again.body["error"]["message"] == "A record with matching key values already exists."


async def test_if_match_with_an_old_version_is_refused_and_changes_nothing(
    call: Client, environment: DynamicsEnvironment
) -> None:
    made = await call("POST", "accounts", {"name": "A"}, WHOLE)
    path, etag = f"accounts({made.body['accountid']})", made.headers["ETag"]
    assert (await call("PATCH", path, {"name": "B"}, {"If-Match": etag})).status == 204
    stale = await call("PATCH", path, {"name": "C"}, {"If-Match": etag})
    assert (stale.status, stale.code) == (412, "0x80060882")
    assert (await call("DELETE", path, headers={"If-Match": etag})).status == 412
    assert environment.row("account", made.body["accountid"])["name"] == "B"


async def test_a_get_of_a_known_version_is_304(call: Client) -> None:
    made = await call("POST", "accounts", {"name": "A"}, WHOLE)
    path = f"accounts({made.body['accountid']})"
    known = await call("GET", path, headers={"If-None-Match": made.headers["ETag"]})
    assert known.status == 304
    assert (await call("GET", path, headers={"If-None-Match": "null"})).status == 200


async def test_a_post_gives_the_id_and_a_delete_takes_the_row(call: Client) -> None:
    made = await call("POST", "accounts", {"name": "A"})
    assert made.status == 204
    path = made.headers["OData-EntityId"].rpartition("/")[2]
    assert (await call("GET", path)).body["name"] == "A"
    assert (await call("DELETE", path)).status == 204
    gone = await call("GET", path)
    assert (gone.status, gone.code) == (404, "0x80040217")
    assert (await call("DELETE", path)).status == 404


# -- values


async def test_a_cleared_column_is_null_and_an_absent_one_is_untouched(
    call: Client, environment: DynamicsEnvironment
) -> None:
    own = environment.create("account", {"name": "A", "telephone1": "1", "websiteurl": "w"})
    await call("PATCH", f"accounts({own})", {"telephone1": None})
    row = environment.row("account", own)
    assert (row["name"], row["telephone1"], row["websiteurl"]) == ("A", None, "w")


async def test_money_is_a_number_and_dates_have_whole_seconds(call: Client, clock: Clock) -> None:
    made = await call("POST", "accounts", {"name": "A", "creditlimit": 12345.67}, WHOLE)
    assert (made.body["creditlimit"], made.body["creditlimit_base"]) == (12345.67, 12345.67)
    assert made.body["modifiedon"] == "2026-03-01T12:00:00Z"
    assert (await call("PATCH", "accounts(isthmus_id='x')", {"creditlimit": "12.5"})).status == 400


async def test_versions_are_one_sequence_over_all_tables(environment: DynamicsEnvironment) -> None:
    own = environment.create("account", {"name": "A"})
    person = environment.create("contact", {"lastname": "B"})
    environment.update("account", own, {"name": "C"})
    versions = environment.row("account", own)["versionnumber"], environment.row("contact", person)["versionnumber"]
    assert versions[0] == versions[1] + 1


async def test_a_lookup_is_bound_by_id_or_key_and_shown_as_its_id(
    call: Client, environment: DynamicsEnvironment
) -> None:
    own = environment.create("account", {"name": "A", "isthmus_id": "a/(1)"})
    body = {"lastname": "L", "parentcustomerid_account@odata.bind": "/accounts(isthmus_id='a/(1)')"}
    made = await call("POST", "contacts", body, {"Prefer": 'return=representation,odata.include-annotations="*"'})
    assert made.body["_parentcustomerid_value"] == own
    assert made.body["_parentcustomerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "account"
    path = f"contacts({made.body['contactid']})"
    found = await call("GET", "contacts", params={"$filter": f"_parentcustomerid_value eq {own}"})
    assert [one["contactid"] for one in found.body["value"]] == [made.body["contactid"]]
    await call("PATCH", path, {"parentcustomerid_account@odata.bind": None})
    assert (await call("GET", path)).body["_parentcustomerid_value"] is None
    missing = {"parentcustomerid_account@odata.bind": f"/accounts({GUID_ONE})"}
    assert (await call("PATCH", path, missing)).status == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "x" * 161}, 400, "0x80044331"),
        ({"numberofemployees": -1}, 400, "0x80044330"),
        ({"industrycode": 99}, 400, "0x8004431A"),
        ({"nosuchcolumn": 1}, 400, "0x80048d19"),
        ({"numberofemployees": "many"}, 400, "0x80048d19"),
        ({"name": "B", "isthmus_id": "TAKEN"}, 412, "0x80060892"),
    ],
)
async def test_what_does_not_fit_is_refused(
    call: Client, environment: DynamicsEnvironment, body: dict[str, Any], status: int, code: str
) -> None:
    environment.create("account", {"name": "A", "isthmus_id": "taken"})
    refused = await call("POST", "accounts", body)
    assert (refused.status, refused.code) == (status, code)
    assert len(environment.rows("account")) == 1


async def test_two_rows_without_a_key_are_no_duplicates(environment: DynamicsEnvironment) -> None:
    for _ in range(2):
        environment.create("account", {"name": "A", "isthmus_id": None})
    assert len(environment.rows("account")) == 2


async def test_a_key_is_free_again_after_its_row_is_gone_or_renamed(environment: DynamicsEnvironment) -> None:
    first = environment.create("account", {"isthmus_id": "k"})
    environment.update("account", first, {"isthmus_id": "other"})
    second = environment.create("account", {"isthmus_id": "k"})
    environment.delete("account", second)
    environment.create("account", {"isthmus_id": "K"})
    with pytest.raises(Fault) as caught:
        environment.update("account", first, {"isthmus_id": "k"})
    assert caught.value.status == 412


# -- queries


async def test_filters_select_the_rows_they_say(call: Client, environment: DynamicsEnvironment) -> None:
    ids = [environment.create("account", {"name": f"N{n}", "numberofemployees": n}) for n in range(4)]
    wanted = ",".join(f"'{one}'" for one in (ids[1], ids[3]))
    within = f"Microsoft.Dynamics.CRM.In(PropertyName='accountid',PropertyValues=[{wanted}])"
    for expression, names in {
        "name eq 'n2'": ["N2"],
        "name eq 'N1' or name eq 'N3'": ["N1", "N3"],
        "(name eq 'N1' or name eq 'N3') and numberofemployees eq 3": ["N3"],
        "name eq 'N0' or name eq 'N1' and numberofemployees eq 9": ["N0"],
        within: ["N1", "N3"],
        f"{within} and numberofemployees lt 3": ["N1"],
        f"accountid eq {ids[2]}": ["N2"],
        "telephone1 ne null": [],
        "statecode eq 0 and modifiedon ge 2026-03-01T12:00:00Z and numberofemployees gt 2": ["N3"],
    }.items():
        found = await call("GET", "accounts", params={"$filter": expression, "$select": "name"})
        assert [one["name"] for one in found.body["value"]] == names, expression
        assert all(set(one) == {"@odata.etag", "name", "accountid"} for one in found.body["value"])


async def test_a_filter_may_hold_hundreds_of_ids(call: Client, environment: DynamicsEnvironment) -> None:
    ids = [environment.create("account", {"name": f"N{n}"}) for n in range(300)]
    values = ",".join(f"'{one}'" for one in ids)
    expression = f"Microsoft.Dynamics.CRM.In(PropertyName='accountid',PropertyValues=[{values}])"
    found = await call("GET", "accounts", params={"$filter": expression, "$select": "name,versionnumber"})
    assert len(found.body["value"]) == 300


@pytest.mark.parametrize("option", [{"$filter": "nope eq 1"}, {"$select": "nope"}, {"$filter": "name eq"}])
async def test_a_query_that_makes_no_sense_is_refused(
    call: Client, environment: DynamicsEnvironment, option: dict[str, str]
) -> None:
    environment.create("account", {"name": "A"})
    assert (await call("GET", "accounts", params=option)).status == 400


async def test_top_and_unknown_resources(call: Client, environment: DynamicsEnvironment) -> None:
    for number in range(3):
        environment.create("account", {"name": f"N{number}"})
    found = await call("GET", "accounts", params={"$top": "2", "$orderby": "name desc"})
    assert [one["name"] for one in found.body["value"]] == ["N2", "N1"]
    assert (await call("GET", "nosuchset")).status == 404


# -- bulk


async def test_create_multiple_is_all_or_nothing(call: Client, environment: DynamicsEnvironment) -> None:
    action = "accounts/Microsoft.Dynamics.CRM.CreateMultiple"
    kind = {"@odata.type": "Microsoft.Dynamics.CRM.account"}
    refused = await call("POST", action, {"Targets": [{**kind, "name": "A"}, {**kind, "name": "x" * 200}]})
    assert refused.status == 400
    assert environment.rows("account") == {}
    made = await call("POST", action, {"Targets": [{**kind, "name": "A"}, {**kind, "name": "B"}]})
    assert made.body["Ids"] == list(environment.rows("account"))


async def test_upsert_multiple_answers_nothing_and_trips_over_a_key_in_the_body_on_create_only(
    call: Client, environment: DynamicsEnvironment
) -> None:
    action = "accounts/Microsoft.Dynamics.CRM.UpsertMultiple"
    twice = {"@odata.id": "accounts(isthmus_id='a')", "isthmus_id": "a", "name": "A"}
    refused = await call("POST", action, {"Targets": [twice]})
    assert (refused.status, refused.code) == (400, "0x80040216")
    done = await call("POST", action, {"Targets": [{"@odata.id": "accounts(isthmus_id='a')", "name": "A"}]})
    assert (done.status, done.body) == (204, b"")
    assert (await call("POST", action, {"Targets": [{**twice, "name": "B"}]})).status == 204
    assert [row["name"] for row in environment.rows("account").values()] == ["B"]


async def test_a_batch_with_bare_line_feeds_answers_its_first_failure_as_a_whole(call: Client) -> None:
    lines = [
        "--b",
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        "",
        f"GET {VERSION}/accounts({GUID_ONE})?$select=name HTTP/1.1",
        "",
        "",
        "--b",
        "Content-Type: application/http",
        "",
        f"GET {VERSION}/accounts?$filter=statecode eq 0 HTTP/1.1",
        "Accept: application/json",
        "",
        "",
        "--b--",
    ]
    kind = {"Content-Type": "multipart/mixed; boundary=b"}
    body = "\n".join(lines).encode()
    refused = await call("POST", "$batch", data=body, headers=kind)
    assert refused.status == 400
    assert refused.body.count(b"HTTP/1.1 ") == 1
    assert b"REQ_ID: " in refused.body
    went_on = await call("POST", "$batch", data=body, headers={**kind, "Prefer": "odata.continue-on-error"})
    assert went_on.status == 200
    assert [line for line in went_on.body.split(b"\r\n") if line.startswith(b"HTTP/1.1")] == [
        b"HTTP/1.1 404 Not Found",
        b"HTTP/1.1 200 OK",
    ]


# -- trouble


async def test_ordered_failures_meet_writes_and_not_reads(call: Client, environment: DynamicsEnvironment) -> None:
    environment.fail_next(2, 503, "0x80044150", retry_after=3)
    assert (await call("GET", "accounts")).status == 200
    refused = await call("POST", "accounts", {"name": "A"})
    assert (refused.status, refused.headers["Retry-After"]) == (503, "3")
    assert (await call("POST", "accounts", {"name": "A"})).status == 503
    assert (await call("POST", "accounts", {"name": "A"})).status == 204
    assert len(environment.rows("account")) == 1


async def test_a_lost_answer_is_a_write_that_happened(call: Client, environment: DynamicsEnvironment) -> None:
    environment.lose_answers(1)
    with pytest.raises(aiohttp.ClientError):
        await call("PATCH", "accounts(isthmus_id='a')", {"name": "A"})
    assert len(environment.rows("account")) == 1
    assert (await call("PATCH", "accounts(isthmus_id='a')", {"name": "A"})).status == 204
    assert len(environment.rows("account")) == 1


# -- the declared tables


async def test_a_further_table_is_data_only() -> None:
    lead = table("lead", "leads", "subject", Column("subject", max_length=300), keys={"k": ("subject",)})
    environment = DynamicsEnvironment(tables=(*STANDARD_TABLES, lead))
    async with serve_dynamics(environment) as served, aiohttp.ClientSession() as session:
        call = Client(session, served.http_url, environment)
        await call.login()
        made = await call("PATCH", "leads(subject='Hot')", {}, WHOLE)
        assert (made.status, made.body["subject"]) == (201, "Hot")
        described = await call("GET", "EntityDefinitions(LogicalName='lead')/Keys")
        assert described.body["value"][0]["KeyAttributes"] == ["subject"]
        column = await call("GET", "EntityDefinitions(LogicalName='lead')/Attributes(LogicalName='subject')")
        assert column.body["MaxLength"] == 300


async def test_a_key_that_rows_share_fails_and_another_is_kept_unique_from_then_on(
    call: Client, environment: DynamicsEnvironment
) -> None:
    for number in ("1", "2"):
        environment.create("account", {"name": "A", "accountnumber": number})
    path = "EntityDefinitions(LogicalName='account')/Keys"
    for name in ("name", "accountnumber"):
        made = await call("POST", path, {"SchemaName": f"x_{name}", "KeyAttributes": [name]})
        assert made.status == 204
    environment.keys_built()
    states = {key["LogicalName"]: key["EntityKeyIndexStatus"] for key in (await call("GET", path)).body["value"]}
    assert (states["x_name"], states["x_accountnumber"]) == ("Failed", "Active")
    assert (await call("POST", "accounts", {"name": "a"})).status == 204, "what failed holds nobody up"
    taken = await call("POST", "accounts", {"name": "B", "accountnumber": "2"})
    assert (taken.status, taken.code) == (412, "0x80060892")


def test_the_same_seed_gives_the_same_ids() -> None:
    def ids(seed: int) -> list[str]:
        environment = DynamicsEnvironment(seed=seed)
        return [environment.tenant, environment.create("account", {"name": "A"})]

    assert ids(5) == ids(5)
    assert ids(5) != ids(6)


def test_deleting_a_customer_takes_its_contacts_along() -> None:
    environment = DynamicsEnvironment()
    own = environment.create("account", {"name": "A"})
    environment.create("contact", {"lastname": "L", "parentcustomerid": own})
    other = environment.create("contact", {"lastname": "M"})
    environment.delete("account", own)
    assert list(environment.rows("contact")) == [other]


async def test_both_schemes_serve_the_same_rows(environment: DynamicsEnvironment, served: Served) -> None:
    trust = ssl.create_default_context(cafile=str(served.ca_file))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
        clients = [Client(session, url, environment) for url in (served.http_url, served.https_url)]
        await asyncio.gather(*(client.login() for client in clients))
        await clients[0]("POST", "accounts", {"name": "A"})
        assert len((await clients[1]("GET", "accounts")).body["value"]) == 1


async def test_what_only_columns_of_one_type_have_is_told_by_a_cast_alone(call: Client) -> None:
    columns = "EntityDefinitions(LogicalName='account')/Attributes"
    assert (await call("GET", f"{columns}?$select=LogicalName,MaxLength")).status == 400
    text = await call("GET", f"{columns}/Microsoft.Dynamics.CRM.StringAttributeMetadata?$select=LogicalName,MaxLength")
    assert {one["LogicalName"]: one["MaxLength"] for one in text.body["value"]}["name"] == 160
    choices = f"{columns}/Microsoft.Dynamics.CRM.PicklistAttributeMetadata?$select=LogicalName"
    assert "OptionSet" not in (await call("GET", choices)).body["value"][0]
    told = await call("GET", f"{choices}&$expand=OptionSet($select=Options,Name)")
    assert [one["Value"] for one in told.body["value"][0]["OptionSet"]["Options"]] == [1, 2, 3]
