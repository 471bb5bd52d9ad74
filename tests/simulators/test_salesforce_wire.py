"""The simulated org byte by byte: OAuth errors, CometD's errors, cookies, batches (salesforce.md §1, §3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from isthmus.simulators.salesforce import (
    STANDARD_OBJECTS,
    Field,
    Refused,
    SalesforceOrg,
    describe,
    serve_salesforce,
    to18,
)

ALL = "/data/ChangeEvents"


class Wire:
    """A bare client of one session."""

    def __init__(self, http: aiohttp.ClientSession, url: str, org: SalesforceOrg) -> None:
        self.http, self.url, self.org = http, url, org
        self.token, self.client_id = "", ""

    async def log_in(self, **changed: str) -> tuple[int, dict[str, Any]]:
        """A token by client credentials."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.org.client_id,
            "client_secret": self.org.client_secret,
        }
        async with self.http.post(f"{self.url}/services/oauth2/token", data={**form, **changed}) as response:
            answer = await response.json()
            self.token = answer.get("access_token", "")
            return response.status, answer

    async def post(self, body: Any, **options: Any) -> Any:
        """One POST to CometD."""
        headers = {"Authorization": f"OAuth {self.token}"}
        async with self.http.post(f"{self.url}/cometd/60.0", json=body, headers=headers, **options) as response:
            return await response.json() if response.status == 200 else response.status

    async def shake(self) -> None:
        """Handshake and first connect."""
        (answer,) = await self.post(
            [{"channel": "/meta/handshake", "id": "0", "version": "1.0", "ext": {"replay": True}}]
        )
        assert answer["successful"]
        assert answer["ext"]["replay"]
        self.client_id = answer["clientId"]
        (answer,) = await self.post([self.connect("1")])
        assert answer["advice"]["reconnect"] == "retry"

    def connect(self, id_: Any) -> dict[str, Any]:
        """A connect message."""
        return {"channel": "/meta/connect", "clientId": self.client_id, "connectionType": "long-polling", "id": id_}

    def subscribe(self, replay: Any, channel: str = ALL) -> dict[str, Any]:
        """A subscribe message."""
        ext = {"replay": {channel: replay}}
        return {
            "channel": "/meta/subscribe",
            "clientId": self.client_id,
            "subscription": channel,
            "id": "2",
            "ext": ext,
        }


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """Logged in, hands shaken, one account there."""
    org = SalesforceOrg(seed=4)
    jar = aiohttp.CookieJar(unsafe=True)
    async with serve_salesforce(org, hold=0.3) as url, aiohttp.ClientSession(cookie_jar=jar) as http:
        wire = Wire(http, url, org)
        await wire.log_in()
        await wire.shake()
        yield wire


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"client_id": "x"}, "invalid_client_id"),
        ({"client_secret": "x"}, "invalid_client"),
        ({"grant_type": "x"}, "unsupported_grant_type"),
        ({"grant_type": "password", "username": "x", "password": "y"}, "invalid_grant"),
    ],
)
async def test_a_wrong_login_is_refused_by_its_name(wire: Wire, changed: dict[str, str], error: str) -> None:
    status, answer = await wire.log_in(**changed)
    assert (status, answer["error"]) == (400, error)


async def test_a_token_says_where_the_org_is_and_nothing_of_its_end(wire: Wire) -> None:
    _, answer = await wire.log_in()
    assert answer["instance_url"] == wire.url
    assert wire.org.org_id in answer["id"]
    assert not {"expires_in", "refresh_token"} & set(answer)


@pytest.mark.parametrize("replay", [-2, "-2"])
async def test_a_batch_of_subscribe_and_connect_brings_what_was(wire: Wire, replay: Any) -> None:
    account = wire.org.create("Account", {"Name": "Alder"})
    answers = await wire.post([wire.subscribe(replay), wire.connect(7)])
    subscribed, event, connected = answers
    assert subscribed["successful"]
    assert event["data"]["payload"]["ChangeEventHeader"]["recordIds"] == [account]
    assert (connected["id"], connected["successful"]) == (7, True)


async def test_a_single_message_needs_no_array(wire: Wire) -> None:
    (answer,) = await wire.post(wire.subscribe(-1))
    assert answer["successful"]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (lambda wire: wire.subscribe(82), "400::The replayId {82} you provided was invalid."),
        (lambda wire: wire.subscribe(None), "400::The replayId for channel {/data/ChangeEvents} wasn't found"),
        (
            lambda wire: wire.subscribe(-1, "/data/Nobody"),
            "400::The channel you requested to subscribe to doesn't exist",
        ),
        (lambda wire: {**wire.connect("9"), "clientId": "stranger"}, "403::Unknown client"),
    ],
)
async def test_what_cannot_be_is_an_error_by_the_servers_own_words(wire: Wire, message: Any, error: str) -> None:
    wire.org.create("Account", {"Name": "Alder"})
    (answer,) = await wire.post([message(wire)])
    assert not answer["successful"]
    assert answer["error"].startswith(error)


async def test_a_replay_id_out_of_retention_is_refused_and_the_newest_is_not(wire: Wire) -> None:
    wire.org.create("Account", {"Name": "Alder"})
    wire.org.create("Account", {"Name": "Birch"})
    old, newest = (event.replay_id for event in wire.org.events)
    wire.org.expire_replay()
    assert not (await wire.post([wire.subscribe(old)]))[0]["successful"]
    assert (await wire.post([wire.subscribe(newest)]))[0]["successful"]


async def test_a_forgotten_client_is_told_to_shake_hands_again(wire: Wire) -> None:
    wire.org.forget_clients()
    (answer,) = await wire.post([wire.connect("3")])
    assert (answer["error"], answer["advice"]["reconnect"]) == ("403::Unknown client", "handshake")


async def test_an_ended_token_is_an_invalid_authentication(wire: Wire) -> None:
    wire.org.expire_tokens()
    (answer,) = await wire.post([wire.connect("3")])
    assert (answer["error"], answer["advice"]["reconnect"]) == ("401::Authentication invalid", "none")
    (answer,) = await wire.post([{"channel": "/meta/handshake", "id": "4"}])
    assert answer["error"] == "403::Handshake denied"
    assert answer["ext"]["sfdc"]["failureReason"] == "401::Authentication invalid"


async def test_a_client_that_does_not_return_its_cookie_is_refused(wire: Wire) -> None:
    wire.http.cookie_jar.clear()
    (answer,) = await wire.post([wire.connect("3")])
    assert answer["error"].startswith("400::Client")
    assert "cookie present" in answer["error"]


async def test_a_body_over_32_kib_is_refused(wire: Wire) -> None:
    assert await wire.post([{"channel": "/meta/connect", "x": "y" * 33_000}]) == 413


async def test_a_quiet_connect_is_held_and_then_answered_empty(wire: Wire) -> None:
    await wire.post([wire.subscribe(-1)])
    answers = await wire.post([wire.connect("5")])
    assert [answer["channel"] for answer in answers] == ["/meta/connect"]


async def test_a_gap_hides_the_body_and_a_delete_has_none(wire: Wire) -> None:
    account = wire.org.create("Account", {"Name": "Alder"})
    wire.org.gap_next("Account", [account])
    wire.org.update("Account", account, {"Phone": "1"})
    wire.org.delete("Account", account)
    wire.org.undelete("Account", account)
    _, gap, delete, undelete = (event.message["payload"] for event in wire.org.events)
    assert (gap["ChangeEventHeader"]["changeType"], list(gap)) == ("GAP_UPDATE", ["ChangeEventHeader"])
    assert (delete["ChangeEventHeader"]["changeType"], list(delete)) == ("DELETE", ["ChangeEventHeader"])
    assert undelete["Name"] == "Alder"


async def test_events_are_held_up_lost_and_mixed_when_that_is_ordered(wire: Wire) -> None:
    await wire.post([wire.subscribe(-1)])
    wire.org.hold()
    wire.org.drop_every = 4
    for number in range(8):
        wire.org.create("Account", {"Name": str(number)})
    (quiet,) = await wire.post([wire.connect("3")])
    assert quiet["channel"] == "/meta/connect"
    wire.org.let_go(shuffle=True)
    heard = [one["data"] for one in await wire.post([wire.connect("4")]) if one["channel"] == ALL]
    told = {int(one["payload"]["Name"]): one["event"]["replayId"] for one in heard}
    assert sorted(told) == [0, 1, 2, 4, 5, 6], "every fourth reached nobody"
    assert list(told) != sorted(told)
    assert sorted(told.values()) == [told[number] for number in sorted(told)], "each under its own replay id"


async def test_what_is_taken_back_is_told_to_nobody(wire: Wire) -> None:
    wire.org.roll_back()
    headers = {"Authorization": f"OAuth {wire.token}"}
    url = f"{wire.url}/services/data/v60.0/sobjects/Account"
    async with wire.http.post(url, json={"Name": "Alder"}, headers=headers) as response:
        (error,) = await response.json()
    assert (response.status, error["errorCode"]) == (400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY")
    assert wire.org.rows("Account") == {}
    assert wire.org.events == []


async def test_an_update_that_changes_nothing_only_moves_the_clock(wire: Wire) -> None:
    account = wire.org.create("Account", {"Name": "Alder"})
    wire.org.update("Account", account, {"Name": " Alder "})
    assert wire.org.events[-1].message["payload"]["ChangeEventHeader"]["changedFields"] == ["LastModifiedDate"]


def test_a_formula_cannot_be_set_and_a_restricted_picklist_takes_its_own_values_alone() -> None:
    rank = Field("Rank__c", "double", formula=True)
    tier = Field("Tier__c", "picklist", options=("A", "B"), restricted=True)
    account, *others = STANDARD_OBJECTS
    more = {**account.fields, "Rank__c": rank, "Tier__c": tier}
    org = SalesforceOrg(objects=[replace(account, fields=more), *others])
    told = {field["name"]: field for field in describe(org.objects["Account"])["fields"]}
    assert (told["Rank__c"]["calculated"], told["Rank__c"]["updateable"]) == (True, False)
    assert [one["value"] for one in told["Tier__c"]["picklistValues"]] == ["A", "B"]
    assert told["Tier__c"]["restrictedPicklist"]
    for fields, code in (
        ({"Rank__c": 1}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"Tier__c": "C"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
    ):
        with pytest.raises(Refused) as refused:
            org.create("Account", {"Name": "Alder", **fields})
        assert code in str(refused.value.body)
    assert org.create("Account", {"Name": "Alder", "Tier__c": "B", "Industry": "Brewing"})


@pytest.mark.parametrize(
    ("short", "long"), [("001RM000004UF9s", "001RM000004UF9sYAG"), ("0015f00002J9YaU", "0015f00002J9YaUAAV")]
)
def test_ids_get_the_suffix_of_the_real_ones(short: str, long: str) -> None:
    assert to18(short) == long


async def test_an_account_takes_its_contacts_along_when_it_is_deleted_and_undeleted(wire: Wire) -> None:
    account, other = (wire.org.create("Account", {"Name": name}) for name in ("Alder", "Birch"))
    contact = wire.org.create("Contact", {"LastName": "Moss", "AccountId": account})
    stays = wire.org.create("Contact", {"LastName": "Moor", "AccountId": other})
    wire.org.delete("Account", account)
    assert wire.org.ids("Contact") == [stays]
    headers = [event.message["payload"]["ChangeEventHeader"] for event in wire.org.events[-2:]]
    assert {(one["entityName"], one["changeType"]) for one in headers} == {("Account", "DELETE"), ("Contact", "DELETE")}
    wire.org.undelete("Account", account)
    assert wire.org.rows("Contact")[contact]["AccountId"] == account
