"""What a Finance & Operations environment needs for us: said, made where it can be, and compared by the check."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson
import pytest
from aiohttp import web

from isthmus.config.errors import ConfigError
from isthmus.config.mapping import SystemMapping
from isthmus.simulators.operations import CUSTOMER, ORDER, OperationsEnvironment, serve_operations
from isthmus.simulators.operations.setup import ASSIGNED, SENT
from isthmus.systems.operations.adapter import Operations, OperationsConfig
from isthmus.systems.operations.provision import privileges
from isthmus.systems.protocol import Finding

ORDERS = SystemMapping(
    object=ORDER,
    collection="SalesOrderHeadersV2",
    primary_key="dataAreaId,SalesOrderNumber",
    external_id="CustomersOrderReference",
    fields={"currency": "CurrencyCode"},
    events={"OrderReleasedBusinessEvent": {"dataAreaId": "LegalEntity", "SalesOrderNumber": "SalesId"}},
)
CUSTOMERS = SystemMapping(
    object=CUSTOMER,
    collection="CustomersV3",
    primary_key="dataAreaId,CustomerAccount",
    external_id="IsthmusId",
    fields={"name": {"column": "OrganizationName", "direction": "in"}},
    on_delete="delete",
)
POSTED, RELEASED = (f"business event {name}BusinessEvent" for name in ("SalesInvoicePosted", "OrderReleased"))


@pytest.fixture
def environment() -> OperationsEnvironment:
    return OperationsEnvironment(seed=9)


@asynccontextmanager
async def joined(environment: OperationsEnvironment, **changed: Any) -> AsyncIterator[Operations]:
    async with serve_operations(environment) as here:
        known = (environment.tenant, environment.client_id, environment.client_secret, environment.company)
        config = replace(OperationsConfig(here, here, *known, user="isthmus", endpoint="Node"), **changed)
        system = Operations(config, {ORDER: ORDERS, CUSTOMER: CUSTOMERS})
        await system.open()
        try:
            yield system
        finally:
            await system.close()


def bad(findings: list[Finding]) -> dict[str, str]:
    assert all(one.hint for one in findings if not one.ok)
    return {one.name: one.message for one in findings if not one.ok}


async def test_what_people_have_to_make_is_said_and_nothing_is_made(environment: OperationsEnvironment) -> None:
    async with joined(environment) as system:
        assert bad(await system.provision(True)) == {"role": "Isthmus is missing", "endpoint": "Node is missing"}
    assert not environment.rows(ASSIGNED)
    assert not environment.rows(SENT)


async def test_the_role_is_given_and_the_events_are_sent_once_people_made_their_part(
    environment: OperationsEnvironment,
) -> None:
    environment.add_role("Isthmus")
    environment.add_endpoint("Node", "http://localhost:1/hook")
    wanted = {
        "role of the application's user": "isthmus does not have Isthmus",
        POSTED: "is not sent to Node",
        RELEASED: "is not sent to Node",
    }
    async with joined(environment) as system:
        assert bad(await system.provision(False)) == wanted
        assert bad(await system.check()) == wanted
        assert not environment.rows(ASSIGNED)
        assert bad(await system.provision(True)) == {}
        assert bad(await system.provision(True)) == {}
        assert bad(await system.check()) == {}
    (given,) = environment.rows(ASSIGNED).values()
    assert (given["UserId"], given["SecurityRoleName"], given["AssignmentStatus"]) == ("isthmus", "Isthmus", "Enabled")


async def test_an_event_that_was_switched_off_is_switched_on_again(environment: OperationsEnvironment) -> None:
    environment.add_role("Isthmus")
    environment.add_endpoint("Node", "http://localhost:1/hook")
    async with joined(environment) as system:
        await system.provision(True)
        first = next(iter(environment.rows(SENT)))
        environment.update(SENT, first, {"Disabled": "Yes"})
        assert list(bad(await system.check()).values()) == ["is switched off"]
        await system.provision(True)
        assert bad(await system.check()) == {}


async def test_what_was_applied_makes_the_events_come(environment: OperationsEnvironment) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()

    async def hear(request: web.Request) -> web.Response:
        heard.put_nowait(orjson.loads(await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", hear)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    environment.add_role("Isthmus")
    environment.add_endpoint("Node", f"http://127.0.0.1:{runner.addresses[0][1]}/hook")
    async with joined(environment) as system:
        environment.raise_event("OrderReleasedBusinessEvent", {"SalesId": "SO-0"}, "usmf")
        await system.provision(True)
        environment.raise_event("OrderReleasedBusinessEvent", {"SalesId": "SO-1"}, "USMF")
        async with asyncio.timeout(10):
            assert (await heard.get())["SalesId"] == "SO-1"
        await environment.until_settled()
    await runner.cleanup()


async def test_a_user_with_the_least_rights_passes_the_check(environment: OperationsEnvironment) -> None:
    async with joined(environment) as system:
        environment.hide("SecurityRoles", "BusinessEventsEndpoints")
        findings = await system.check()
    assert bad(findings) == {}
    assert sum("hidden" in one.message for one in findings) == 2


async def test_a_user_who_may_not_read_the_rows_fails_the_check(environment: OperationsEnvironment) -> None:
    async with joined(environment, user=None, endpoint=None) as system:
        environment.hide("CustomersV3")
        assert list(bad(await system.check())) == [f"{CUSTOMER} rows"]


async def test_what_is_not_set_is_not_looked_after(environment: OperationsEnvironment) -> None:
    async with joined(environment, user=None, endpoint=None) as system:
        assert bad(await system.provision(True)) == {}


def test_the_least_privileges_are_those_of_the_mapping() -> None:
    told = privileges({ORDER: ORDERS, CUSTOMER: CUSTOMERS})
    assert told == ("read LegalEntities; read, create, update SalesOrderHeadersV2; read, delete CustomersV3")


# -- versions


async def test_check_compares_the_version_of_the_environment(environment: OperationsEnvironment) -> None:
    async with joined(environment, user=None, endpoint=None) as system:
        assert bad(await system.check()) == {}
        environment.version = "10.1.3.0"
        assert bad(await system.check()) == {"API version": "the environment is 10.1.3.0, not 10.0"}
        environment.hide("DataManagementEntities")
        assert bad(await system.check()) == {}


def test_a_version_that_is_not_supported_is_refused_before_anything_connects() -> None:
    with pytest.raises(ConfigError, match=r"operations\.api_version: 7\.3 is not among the supported"):
        Operations(OperationsConfig("http://x", "http://x", "t", "c", "s", api_version="7.3"), {})
