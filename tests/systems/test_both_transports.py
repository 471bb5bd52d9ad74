"""One story, told by CometD and by the Pub/Sub API through real sockets: the same changes come out of both."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing

from isthmus.codecs.change import Change
from isthmus.codecs.text_differences import applied
from isthmus.simulators.salesforce import SalesforceOrg, bus, serve_salesforce
from isthmus.simulators.salesforce.pubsub import serve_pubsub
from isthmus.simulators.salesforce.tell import Told, tell
from isthmus.systems.salesforce.adapter import Salesforce, SalesforceConfig

DIFF = "--- \n+++ 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae\n@@ -2,1 +2,1 @@\n-b\n+c"

LONG = "\r\n".join(f"Line {number} of what they make, and for whom." for number in range(40))
LONGER = LONG.replace("Line 7", "Seventh line") + "\r\nOne more."


def story(org: SalesforceOrg) -> None:
    """Everything that change events can be."""
    address = {"BillingStreet": "1 Quay", "BillingCity": "Ulm", "Credit_Limit__c": 1000.0, "AnnualRevenue": 0.1}
    first = org.create("Account", {"Name": "Alder & Söhne", "NumberOfEmployees": 0, "Industry": "Media", **address})
    second = org.create("Account", {"Name": "Birch"})
    org.update("Account", first, {"BillingCity": None, "Phone": "1", "Fax": None})
    org.update("Account", first, {"Phone": None, "Credit_Limit__c": 99.95})
    org.update("Account", second, {})
    person = org.create("Contact", {"FirstName": "Ada", "LastName": "Alder", "AccountId": first, "MailingCity": "Ulm"})
    org.update(
        "Contact", person, {"FirstName": None, "LastName": "Birch"}, origin="com/salesforce/api/rest/60.0;client=x"
    )
    org.gap_next("Contact", [person])
    org.update("Contact", person, {"Title": "Dr"})
    org.delete("Contact", person)
    org.undelete("Contact", person)
    tell(org, Told("Account", "UPDATE", [first, second, first[:15]], {"Industry": "Apparel"}))
    created = [
        Told("Account", "CREATE", [first], {"Name": "A"}),
        Told("Contact", "CREATE", [person], {"LastName": "B"}),
    ]
    tell(
        org,
        *created,
        Told("Account", "UPDATE", [second], {"Phone": "7", "LastModifiedDate": "2024-04-09T20:26:27.000Z"}),
    )
    tell(org, Told("Account", "GAP_UPDATE", [first, second]), origin="")
    tell(org, Told("Account", "GAP_UPDATE", ["001*"]), Told("Contact", "GAP_OVERFLOW", ["000000000000000AAA"]))
    geocoded = {"BillingAddress": {"Latitude": 48.4, "Longitude": 9.99}}
    tell(org, Told("Account", "UPDATE", [first], parts=geocoded), origin="")
    tell(org, Told("Account", "UPDATE", [first], {"Phone": "8"}, {"Description": {"diff": DIFF}}))
    tell(org, Told("Account", "UPDATE", [first], {"Phone": "9", "Fax": None}, changed=()))
    tell(org, Told("Account", "UPDATE", [first], {"Phone": "9"}, changed=("Phone", "Website")))
    tell(org, Told("Account", "UPDATE", [first], {"Phone": "9", "Website": "https://a.example"}, changed=("Phone",)))
    long = org.create("Account", {"Name": "Elm", "Description": LONG})
    org.update("Account", long, {"Description": LONGER})
    org.update("Account", long, {"Description": "Short."})
    org.delete("Account", second)
    org.redeliver(3)


async def told_by(system: Salesforce, count: int) -> list[Change]:
    """The changes of the first so many events."""
    changes: list[Change] = []
    async with asyncio.timeout(30), aclosing(system.changes("-2")) as deliveries:  # type: ignore[type-var]
        async for delivery in deliveries:
            assert delivery.error is None
            changes += delivery.changes
            count -= bool(delivery.raw)
            if not count:
                return changes
    raise AssertionError("the stream ended")


async def both(channels: tuple[str, ...]) -> tuple[list[Change], list[Change]]:
    org = SalesforceOrg(seed=11)
    org.carry("/data/Sales__chn", {"Account": ("Industry", "Website")})
    story(org)
    count = sum(len([*bus.told(org, channel, event)]) for event in org.events for channel in channels)
    async with serve_salesforce(org) as url, serve_pubsub(org) as server:
        found = []
        for pubsub_url in (None, server.url):
            config = SalesforceConfig(url, org.client_id, org.client_secret, channels=channels, pubsub_url=pubsub_url)
            system = Salesforce(config, {})
            await system.open()
            try:
                found.append(await told_by(system, count))
            finally:
                await system.close()
    return found[0], found[1]


async def test_the_same_changes_come_by_both() -> None:
    by_cometd, by_pubsub = await both(("/data/ChangeEvents",))
    for one, other in zip(by_cometd, by_pubsub, strict=True):
        assert one == other
    kinds = Counter(change.operation for change in by_pubsub)
    assert set(kinds) == {"create", "update", "delete", "undelete", "gap", "overflow"}
    assert sum(bool(change.cleared) for change in by_pubsub) >= 4
    differing = [told for change in by_pubsub if (told := change.text_differences.get("Description"))]
    assert {applied(LONG, told) for told in differing} == {None, LONGER}
    assert "Short." in [change.fields.get("Description") for change in by_pubsub]
    types = [{name: type(value) for name, value in change.fields.items()} for change in by_cometd]
    assert types == [{name: type(value) for name, value in change.fields.items()} for change in by_pubsub]


async def test_an_enriched_channel_tells_the_same_changes_by_both() -> None:
    plain, _ = await both(("/data/ChangeEvents",))
    by_cometd, by_pubsub = await both(("/data/Sales__chn",))
    assert by_cometd == by_pubsub
    assert {change.change_id for change in by_pubsub} <= {change.change_id for change in plain}
