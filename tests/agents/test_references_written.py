"""References written to both simulated platforms: parents before children, and records that point at each other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import yaml
from desk import Desk, items, sent
from test_deliver import PATIENCE

from isthmus.agents import deliver
from isthmus.config.mapping import ENTITIES, EntityMapping, Mappings, load_mappings
from isthmus.simulators.dynamics import DynamicsEnvironment, serve_dynamics
from isthmus.simulators.dynamics.schema import ACCOUNT as ACCOUNTS
from isthmus.simulators.dynamics.schema import CONTACT as CONTACTS
from isthmus.simulators.dynamics.schema import TASK, lookup
from isthmus.simulators.salesforce import SalesforceOrg, serve_salesforce
from isthmus.simulators.salesforce.schema import ACCOUNT, STANDARD_OBJECTS, Field
from isthmus.systems.dynamics.adapter import Dynamics, DynamicsConfig
from isthmus.systems.salesforce.adapter import Salesforce, SalesforceConfig
from isthmus.tables.golden import DesiredWrite
from isthmus.tables.stage import Batch

MAIN = {"type": "reference", "to": "contact", "rule": {"precedence": ["salesforce", "dynamics"]}}


def circular(**main: Any) -> Mappings:
    """Accounts with a main contact, which has an account."""
    told = {file.stem: yaml.safe_load(file.read_text()) for file in ENTITIES.glob("*.yaml")}
    account = told["account"]
    account["fields"]["main"] = {**MAIN, **main}
    account["systems"]["salesforce"]["fields"]["main"] = "Main__c"
    account["systems"]["dynamics"]["fields"]["main"] = {"column": "primarycontactid", "bind": "primarycontactid"}
    return Mappings(EntityMapping.model_validate(one) for one in told.values())


class Place:
    """A platform, deliver before it, and how its rows say what they point at."""

    def __init__(self, system: Any, people: Any, objects: tuple[str, str], columns: tuple[str, str], key: str) -> None:
        self.system, self.people = system, people
        self.accounts, self.contacts = objects
        self.main, self.account = columns
        self.key = key
        self.now = 1_000_000.0

    def open(self, mappings: Mappings) -> Desk:
        return Desk(deliver.stage(self.system, mappings, PATIENCE, clock=lambda: self.now))

    def wish(self, canonical: str, entity: str, native: str | None = None, **fields: Any) -> Any:
        known = DesiredWrite(self.system.name, canonical, entity, 1, native, fields, None, "corr")
        return items(f"writes.{self.system.name}", known)

    def pointers(self) -> tuple[set[Any], set[Any]]:
        """What accounts and contacts point at, by our id."""
        accounts, contacts = self.people.rows(self.accounts), self.people.rows(self.contacts)
        named = {native: row[self.key] for rows in (accounts, contacts) for native, row in rows.items()}
        return (
            {(row[self.key], named.get(row[self.main])) for row in accounts.values()},
            {(row[self.key], named.get(row[self.account])) for row in contacts.values()},
        )


@asynccontextmanager
async def salesforce(mappings: Mappings) -> AsyncIterator[Place]:
    main = Field("Main__c", "reference", refers_to="Contact")
    objects = {one.name: one for one in STANDARD_OBJECTS}
    objects["Account"] = replace(ACCOUNT, fields={**ACCOUNT.fields, "Main__c": main})
    org = SalesforceOrg(seed=3, objects=objects.values())
    async with serve_salesforce(org) as url:
        system = Salesforce(SalesforceConfig(url, org.client_id, org.client_secret), mappings.objects("salesforce"))
        await system.open()
        yield Place(system, org, ("Account", "Contact"), ("Main__c", "AccountId"), "Isthmus_Id__c")
        await system.close()


@asynccontextmanager
async def dynamics(mappings: Mappings) -> AsyncIterator[Place]:
    main = lookup("primarycontactid", primarycontactid="contact")
    tables = (replace(ACCOUNTS, columns={**ACCOUNTS.columns, "primarycontactid": main}), CONTACTS, TASK)
    environment = DynamicsEnvironment(seed=3, tables=tables)
    async with serve_dynamics(environment) as served:
        here = served.http_url
        config = DynamicsConfig(here, here, environment.tenant, environment.client_id, environment.client_secret)
        system = Dynamics(config, mappings.objects("dynamics"))
        await system.open()
        yield Place(system, environment, ("account", "contact"), ("primarycontactid", "parentcustomerid"), "isthmus_id")
        await system.close()


PLACES = {"salesforce": salesforce, "dynamics": dynamics}
EVERYWHERE = pytest.mark.parametrize("name", PLACES)


async def later(desk: Desk, place: Place) -> Any:
    place.now += 5.0
    return await desk.work(Batch("tick", [place.now]))


@EVERYWHERE
@pytest.mark.parametrize("together", [True, False])
async def test_two_records_that_point_at_each_other_end_so(name: str, together: bool) -> None:
    async with PLACES[name](circular()) as place:
        desk = place.open(circular())
        account = place.wish("a", "account", name="Alder", main="c")
        contact = place.wish("c", "contact", last_name="Moss", account="a")
        for wishes in [[*account, *contact]] if together else [account, contact]:
            await desk.work(*wishes)
        for _ in range(3):
            await later(desk, place)
        assert place.pointers() == ({("a", "c")}, {("c", "a")})
        assert desk.counts[f"{name}/account"]["delivery_parked"] == 0
        for entity in ("account", "contact"):  # a second pass is an intent of its own, beside the one wish of each
            line = desk.counts[f"{name}/{entity}"]
            ended = line.get("delivery_written", 0) + line.get("delivery_superseded", 0)
            assert ended == 1 + line.get("delivery_intended", 0)
        assert "delivery_dead" not in desk.counts[f"{name}/account"] | desk.counts[f"{name}/contact"]


@EVERYWHERE
async def test_a_child_is_written_before_its_parent_is_there_and_points_at_it_later(name: str) -> None:
    async with PLACES[name](circular()) as place:
        desk = place.open(circular())
        unit = await desk.work(*place.wish("c", "contact", last_name="Moss", account="a"))
        assert place.pointers() == (set(), {("c", None)})
        assert [one["canonical"] for one in sent(unit, "merge") if one["kind"] == "tell"] == ["a"]
        for _ in range(PATIENCE.attempts + 2):  # what it points at may take its time
            await later(desk, place)
        await desk.work(*place.wish("a", "account", name="Alder"))
        unit = await later(desk, place)
        assert place.pointers() == ({("a", None)}, {("c", "a")})
        assert [one["fields"] for one in sent(unit, "merge")] == [{"account": "a"}]


@EVERYWHERE
@pytest.mark.parametrize("together", [True, False])
async def test_two_accounts_that_are_each_others_parent_end_so(name: str, together: bool) -> None:
    async with PLACES[name](load_mappings()) as place:
        desk = place.open(load_mappings())
        one, two = (place.wish(c, "account", name=c, parent=to) for c, to in (("a", "b"), ("b", "a")))
        for wishes in [[*one, *two]] if together else [one, two]:
            await desk.work(*wishes)
        for _ in range(3):
            await later(desk, place)
        rows = place.people.rows(place.accounts)
        named = {native: row[place.key] for native, row in rows.items()}
        parent = {"salesforce": "ParentId", "dynamics": "parentaccountid"}[name]
        assert {row[place.key]: named.get(row[parent]) for row in rows.values()} == {"a": "b", "b": "a"}
        assert desk.counts[f"{name}/account"]["delivery_parked"] == 0
        assert "delivery_dead" not in desk.counts[f"{name}/account"]


@EVERYWHERE
async def test_of_several_references_the_one_that_is_missing_holds_up_no_other(name: str) -> None:
    async with PLACES[name](circular()) as place:
        desk = place.open(circular())
        await desk.work(*place.wish("p", "account", name="Parent"))
        await desk.work(*place.wish("a", "account", name="Alder", parent="p", main="c"))
        unit = await later(desk, place)
        assert [one["fields"] for one in sent(unit, "merge") if one["kind"] == "report"] == [{"parent": "p"}]
        rows = place.people.rows(place.accounts)
        parent = {"salesforce": "ParentId", "dynamics": "parentaccountid"}[name]
        named = {row[place.key]: native for native, row in rows.items()}
        assert rows[named["a"]][parent] == named["p"]
        assert desk.counts[f"{name}/account"]["delivery_parked"] == 1
        await desk.work(*place.wish("c", "contact", last_name="Moss"))
        await later(desk, place)
        assert ("a", "c") in place.pointers()[0]
        line = desk.counts[f"{name}/account"]
        assert (line["delivery_parked"], line["delivery_written"]) == (0, 2 + line["delivery_intended"])


@EVERYWHERE
async def test_a_record_with_a_required_reference_waits_for_it(name: str) -> None:
    mappings = circular(required=True)
    async with PLACES[name](mappings) as place:
        desk = place.open(mappings)
        await desk.work(*place.wish("a", "account", name="Alder", main="c"))
        await later(desk, place)
        assert place.pointers() == (set(), set())
        await desk.work(*place.wish("c", "contact", last_name="Moss"))
        await later(desk, place)
        assert place.pointers() == ({("a", "c")}, {("c", None)})


@EVERYWHERE
async def test_a_known_record_changes_and_loses_what_it_points_at(name: str) -> None:
    async with PLACES[name](circular()) as place:
        desk = place.open(circular())
        await desk.work(*place.wish("a", "account", name="Alder"))
        await desk.work(*place.wish("c", "contact", last_name="Moss", account="a"))
        (native,) = place.people.rows(place.contacts)
        await desk.work(*place.wish("c", "contact", native, account="b"))  # which is not there
        assert place.pointers()[1] == {("c", "a")}
        await desk.work(*place.wish("b", "account", name="Birch"))
        await later(desk, place)
        assert place.pointers()[1] == {("c", "b")}
        await desk.work(*place.wish("c", "contact", native, account=None))
        assert place.pointers()[1] == {("c", None)}
        (row,) = await place.system.read(place.contacts, [native])
        assert row.fields[place.account] is None
        await desk.work(*place.wish("c", "contact", native, account="a"))
        (row,) = await place.system.read(place.contacts, [native])
        assert row.fields[place.account] in place.people.rows(place.accounts)
