"""A full read of a platform without row versions: what it did not meet is asked for by its id, and never believed gone."""

from __future__ import annotations

from typing import Any

import pytest
from desk import Desk, items, letters, sent

from isthmus.agents import intake
from isthmus.codecs.arrival import Arrival, Link, Reread
from isthmus.codecs.change import Operation
from isthmus.config.mapping import load_mappings
from isthmus.tables.rows import read_change

TOKEN = "0007~"


@pytest.fixture
def desk() -> Desk:
    return Desk(intake.stage(["salesforce", "dynamics"], load_mappings(), {}))


def met(record_id: str, operation: Operation = "update", version: str = TOKEN) -> Any:
    """A read of a record by the full read, or at another version by another one."""
    ask = Reread("Account", record_id, "healed", version)
    change = read_change("salesforce", ask, operation, {}, version, None)
    return items("changes.salesforce", Arrival(change, "healed", whole=operation != "delete"))


def swept(object_: str = "Account") -> Any:
    ask = Reread(object_, "", "healed", TOKEN)
    change = read_change("salesforce", ask, "update", {}, TOKEN, None)
    return items("changes.salesforce", Arrival(change, "healed", swept=True))


async def known(desk: Desk, *record_ids: str, entity: str = "account", system: str = "salesforce") -> None:
    await desk.work(*items("links", *(Link(system, one, entity, f"c-{one}") for one in record_ids)))


async def test_what_was_known_and_not_met_is_asked_for_by_its_id(desk: Desk) -> None:
    await known(desk, "001a", "001b", "001c")
    await known(desk, "003a", entity="contact")
    await known(desk, "g1", system="dynamics")
    unit = await desk.work(*met("001a"), *met("001c"), *swept())
    (ask,) = sent(unit, "rereads.salesforce")
    assert (ask["object"], ask["record_id"], ask["version"]) == ("Account", "001b", TOKEN)
    assert desk.counts == {"salesforce/account": {"received": 2}}, "the end of a full read is no change"


async def test_what_is_gone_already_is_not_asked_for_again(desk: Desk) -> None:
    await known(desk, "001a", "001b")
    await desk.work(*met("001a", "delete", "0003"), *met("001b", "delete", "0004"))
    unit = await desk.work(*met("001b", "undelete", "0005"), *swept())
    assert [one["record_id"] for one in sent(unit, "rereads.salesforce")] == ["001b"], "it was restored"


async def test_more_than_a_share_is_not_believed_and_its_letter_sweeps_again(desk: Desk) -> None:
    await known(desk, *(f"001{number}" for number in range(60)))
    unit = await desk.work(*swept())
    assert sent(unit, "rereads.salesforce") == []
    (letter,) = letters(unit)
    assert (letter["code"], letter["topic"]) == ("TOO_MANY_GONE", "rereads.salesforce")
    assert "60 of 60" in letter["error"]
    assert desk.counts == {"salesforce/account": {"received": 1, "dead": 1}}
