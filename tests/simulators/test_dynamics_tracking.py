"""Change tracking as a client sees it (dynamics.md §4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from isthmus.simulators.dynamics import DynamicsEnvironment, serve_dynamics

TRACK = {"Prefer": "odata.track-changes"}


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment


class Client:
    """Asks with a token; a link may be given whole."""

    def __init__(self, session: aiohttp.ClientSession, url: str, environment: DynamicsEnvironment) -> None:
        self.session, self.base, self.environment = session, f"{url}/api/data/v9.2/", environment

    async def get(self, path: str, prefer: str = "odata.track-changes") -> tuple[int, Any]:
        authority = self.environment.authority
        token = authority.issue_to(authority._applications[self.environment.client_id])
        url = path if path.startswith("http") else self.base + path
        headers = {"Authorization": f"Bearer {token}", "Prefer": prefer}
        async with self.session.get(url, headers=headers) as response:
            is_json = response.content_type == "application/json"
            return response.status, await response.json() if is_json else await response.text()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def environment(clock: Clock) -> DynamicsEnvironment:
    return DynamicsEnvironment(seed=3, clock=clock)


@pytest.fixture
async def client(environment: DynamicsEnvironment) -> AsyncIterator[Client]:
    async with serve_dynamics(environment) as served, aiohttp.ClientSession() as session:
        yield Client(session, served.http_url, environment)


async def link(client: Client) -> str:
    _, page = await client.get("accounts?$select=name")
    return str(page["@odata.deltaLink"])


async def test_a_link_leads_to_what_changed_by_version_and_then_to_what_went(
    client: Client, environment: DynamicsEnvironment
) -> None:
    one, two, three = (environment.create("account", {"name": name}) for name in "abc")
    _, page = await client.get("accounts?$select=name,telephone1")
    assert page["@odata.context"].endswith("$metadata#accounts(name,telephone1)")
    assert [row["name"] for row in page["value"]] == ["a", "b", "c"]
    environment.update("account", two, {"name": "B"})
    environment.delete("account", three)
    environment.update("account", one, {"name": "A"})
    passing = environment.create("account", {"name": "passing"})
    environment.delete("account", passing)
    _, page = await client.get(page["@odata.deltaLink"])
    assert page["@odata.context"].endswith("/$delta")
    assert [entry.get("name") or entry["id"] for entry in page["value"]] == ["B", "A", three, passing]
    gone = page["value"][-1]
    assert set(gone) == {"@odata.context", "id", "reason"}
    assert gone["@odata.context"].endswith("$metadata#accounts/$deletedEntity")
    _, page = await client.get(page["@odata.deltaLink"])
    assert page["value"] == []


async def test_pages_lead_to_one_another_and_the_last_to_changes(
    client: Client, environment: DynamicsEnvironment
) -> None:
    made = [environment.create("account", {"name": f"a{number}"}) for number in range(5)]
    names, path = [], "accounts?$select=name"
    for _ in range(3):
        _, page = await client.get(path, "odata.track-changes,odata.maxpagesize=2")
        names += [row["name"] for row in page["value"]]
        path = page.get("@odata.nextLink", page.get("@odata.deltaLink"))
        assert ("@odata.nextLink" in page) != ("@odata.deltaLink" in page)
        if made[0] in environment.rows("account"):
            environment.delete("account", made[0])
    assert names == ["a0", "a1", "a2", "a3", "a4"]
    _, page = await client.get(path)
    assert [entry.get("reason") for entry in page["value"]] == ["deleted"], "a row deleted while its pages were read"


@pytest.mark.parametrize("option", ["$filter=name eq 'a'", "$orderby=name", "$expand=ownerid", "$top=3"])
async def test_other_options_are_refused(client: Client, option: str) -> None:
    status, told = await client.get(f"accounts?{option}")
    assert status == 400
    assert "isn't supported when Change Tracking is enabled" in told["error"]["message"]


async def test_an_expired_link_is_an_error_and_no_silent_full_read(client: Client, clock: Clock) -> None:
    path = await link(client)
    clock.moment += timedelta(days=29)
    assert (await client.get(path))[0] == 200
    clock.moment += timedelta(days=2)
    status, told = await client.get(path)
    assert (status, told["error"]["code"]) == (400, "0x80044352")
    assert told["error"]["message"].startswith("Version stamp associated with the client has expired.")


async def test_links_may_be_expired_on_order(client: Client, environment: DynamicsEnvironment) -> None:
    path = await link(client)
    environment.expire_links()
    assert (await client.get(path))[0] == 400
    assert (await client.get(await link(client)))[0] == 200


async def test_a_table_without_change_tracking_says_so(client: Client, environment: DynamicsEnvironment) -> None:
    environment.tracked.discard("account")
    status, told = await client.get("accounts?$select=name")
    assert (status, "not enabled" in told["error"]["message"]) == (400, True)
    _, definitions = await client.get("EntityDefinitions?$filter=ChangeTrackingEnabled eq true&$select=LogicalName", "")
    assert [one["LogicalName"] for one in definitions["value"]] == ["contact", "task"]


async def test_entries_can_be_counted(client: Client, environment: DynamicsEnvironment) -> None:
    path = await link(client)
    environment.create("account", {"name": "a"})
    token = path.partition("$deltatoken=")[2]
    assert await client.get(f"accounts/$count?$deltatoken={token}") == (200, "1")


async def test_what_a_synchronous_step_takes_back_is_never_seen(
    client: Client, environment: DynamicsEnvironment
) -> None:
    """The receiver of a ghost event reads at once, while the transaction is under way, and sees nothing of it."""
    seen: list[Any] = []

    async def receive(request: web.Request) -> web.Response:
        seen.append([row["name"] for row in (await client.get(path))[1]["value"]])
        seen.append([row["name"] for row in (await client.get("accounts?$select=name", ""))[1]["value"]])
        return web.Response(status=500)

    app = web.Application()
    app.router.add_post("/", receive)
    async with TestServer(app) as server:
        path = await link(client)
        environment.create("account", {"name": "there"})
        environment.register_webhook(str(server.make_url("/")), entities=["account"], mode="sync")
        environment.create("account", {"name": "ghost"})
        await asyncio.wait_for(environment.until_settled(), 10)
    assert seen == [["there"], ["there"]]
    assert len(environment.refused) == 1
    assert [row["name"] for row in (await client.get(path))[1]["value"]] == ["there"]


async def test_what_a_transaction_held_up_is_newer_than_what_was_told_meanwhile_and_takes_nothing_back(
    client: Client, environment: DynamicsEnvironment
) -> None:
    """While the webhook of a name is under way, somebody changes the telephone and somebody reads."""
    meanwhile: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        environment.update("account", one, {"telephone1": "2"})
        meanwhile.append((await client.get(before))[1]["@odata.deltaLink"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/", receive)
    one = environment.create("account", {"name": "a", "telephone1": "1"})
    async with TestServer(app) as server:
        url = str(server.make_url("/"))
        environment.register_webhook(url, entities=["account"], messages=["Update"], mode="sync", filtering=["name"])
        before = await link(client)
        environment.update("account", one, {"name": "b"})
        await asyncio.wait_for(environment.until_settled(), 10)
    assert environment.refused == []
    row = environment.row("account", one)
    assert (row["name"], row["telephone1"]) == ("b", "2")
    [told] = (await client.get(meanwhile[0]))[1]["value"]
    assert told["name"] == "b", "the link that was given meanwhile leads to it"


async def test_a_bulk_action_that_fails_leaves_nothing_to_track_and_uses_its_versions(
    client: Client, environment: DynamicsEnvironment
) -> None:
    before, version = await link(client), environment.store.version
    targets = {"Targets": [{"name": "a"}, {"name": "b"}, {"name": "c" * 200}]}
    authority = environment.authority
    headers = {"Authorization": f"Bearer {authority.issue_to(authority._applications[environment.client_id])}"}
    url = f"{client.base}accounts/Microsoft.Dynamics.CRM.CreateMultiple"
    async with client.session.post(url, json=targets, headers=headers) as response:
        assert response.status == 400
    assert (await client.get(before))[1]["value"] == []
    assert environment.rows("account") == {}
    assert environment.store.version == version + 2, "a sequence does not go back with a transaction"
