"""Reads that come in pages, and what a check says of rights that are lacking; the simulated platforms lack neither."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from isthmus.config.mapping import SystemMapping
from isthmus.systems.dynamics import checks as dynamics_checks
from isthmus.systems.dynamics.adapter import Dynamics, DynamicsConfig
from isthmus.systems.protocol import System
from isthmus.systems.salesforce import checks as salesforce_checks
from isthmus.systems.salesforce.adapter import Salesforce, SalesforceConfig

ACCOUNT = SystemMapping(object="Account", external_id="Isthmus_Id__c", fields={"name": "Name"})
TABLE = SystemMapping(
    object="account",
    collection="accounts",
    primary_key="accountid",
    external_id="isthmus_id",
    fields={"name": "name"},
)
IDS = ["001000000000001AAA", "001000000000002AAA"]
GUIDS = ["11111111-2222-4333-8444-555555555551", "11111111-2222-4333-8444-555555555552"]


async def token(request: web.Request) -> web.Response:
    here = f"http://{request.host}"
    return web.json_response({"access_token": "tok", "expires_in": 3599, "instance_url": here})


async def query(request: web.Request) -> web.Response:
    return web.json_response(
        {"done": False, "nextRecordsUrl": "/services/data/v60.0/query/2", "records": [{"Id": IDS[0]}]}
    )


async def query_2(request: web.Request) -> web.Response:
    return web.json_response({"done": True, "records": [{"Id": IDS[1]}]})


async def accounts(request: web.Request) -> web.Response:
    """The second page where the link says so."""
    second = "$skiptoken" in request.query
    row = {"accountid": GUIDS[second].upper(), "@odata.etag": f'W/"{7 + second}"'}
    link = {} if second else {"@odata.nextLink": f"http://{request.host}{request.path_qs}&$skiptoken=2"}
    return web.json_response({"value": [row], **link})


@asynccontextmanager
async def paging() -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/services/oauth2/token", token)
    app.router.add_post("/tenant/oauth2/v2.0/token", token)
    app.router.add_get("/services/data/v60.0/query", query)
    app.router.add_get("/services/data/v60.0/query/2", query_2)
    app.router.add_get("/api/data/v9.2/accounts", accounts)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "localhost", 0).start()
    try:
        yield f"http://localhost:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def salesforce(url: str) -> System:
    return Salesforce(SalesforceConfig(url, "id", "secret"), {"Account": ACCOUNT})


def dynamics(url: str) -> System:
    return Dynamics(DynamicsConfig(url, url, "tenant", "id", "secret"), {"account": TABLE})


@pytest.mark.parametrize(("adapter", "name", "ids"), [(salesforce, "Account", IDS), (dynamics, "account", GUIDS)])
async def test_a_read_that_comes_in_pages_is_whole(adapter: object, name: str, ids: list[str]) -> None:
    async with paging() as url:
        system: System = adapter(url)  # type: ignore[operator]
        await system.open()
        rows = await system.read(name, ids)
        await system.close()
    assert [(row.record_id, row.exists) for row in rows] == [(one, True) for one in ids]


async def test_a_version_is_taken_from_the_etag_where_there_is_no_column() -> None:
    async with paging() as url:
        system = dynamics(url)
        await system.open()
        rows = await system.read("account", GUIDS)
        await system.close()
    assert [row.version for row in rows] == ["0" * 19 + "7", "0" * 19 + "8"]


@pytest.mark.parametrize(("right", "ok"), [(True, True), (False, False)])
def test_a_field_that_may_not_be_written_is_found(right: bool, ok: bool) -> None:
    finding = salesforce_checks._fields(ACCOUNT, {"Name": {"name": "Name", "updateable": right}})
    assert finding.ok is ok
    assert ok or "Name may not be written" in finding.message


@pytest.mark.parametrize("lacking", ["externalId", "unique", "updateable"])
def test_an_external_id_that_lacks_a_flag_is_found(lacking: str) -> None:
    flags = {"externalId": True, "unique": True, "updateable": True}
    assert salesforce_checks._external_id(ACCOUNT, {"Isthmus_Id__c": flags}).ok
    finding = salesforce_checks._external_id(ACCOUNT, {"Isthmus_Id__c": {**flags, lacking: False}})
    assert not finding.ok
    assert lacking in finding.message


@pytest.mark.parametrize(("state", "ok"), [("Active", True), ("Pending", False), ("Failed", False)])
def test_a_key_whose_index_is_not_built_is_found(state: str, ok: bool) -> None:
    finding = dynamics_checks._key(TABLE, [{"KeyAttributes": ["isthmus_id"], "EntityKeyIndexStatus": state}])
    assert finding.ok is ok


@pytest.mark.parametrize("right", dynamics_checks.RIGHTS)
def test_a_column_without_a_right_is_found(right: str) -> None:
    columns = {"name": {right: False}, "isthmus_id": {}}
    assert "name may not be" in dynamics_checks._columns(TABLE, columns).message
    assert dynamics_checks._columns(TABLE, {"name": {}, "isthmus_id": {}}).ok
