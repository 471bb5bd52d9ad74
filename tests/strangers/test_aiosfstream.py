"""The simulated org's change events through aiosfstream-ng's own client, unmodified."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("aiosfstream_ng", reason="aiosfstream-ng is not installed: pip install -e '.[strangers]'")

import aiosfstream_ng.auth
from aiosfstream_ng import PasswordAuthenticator, SalesforceStreamingClient
from aiosfstream_ng.replay import ReplayOption

from isthmus.simulators.salesforce import SalesforceOrg, serve_salesforce


@pytest.fixture
def org() -> SalesforceOrg:
    """An org of its own for each test."""
    return SalesforceOrg(seed=3)


@pytest.fixture
async def url(org: SalesforceOrg) -> AsyncIterator[str]:
    """The org's address."""
    async with serve_salesforce(org, hold=5.0) as url:
        yield url


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
