"""activate: a version of a mapping is in force from one place of merge's input on, and what lives is chosen anew by it."""

from __future__ import annotations

from typing import Any

import pytest
from desk import Desk, sent

from isthmus.agents import activate, merge
from isthmus.codecs.activation import Activation, document_of, mapping_of, version_of
from isthmus.codecs.linked import Linked, Report
from isthmus.config.mapping import EntityMapping, load_mappings
from isthmus.node.mapping_activate import Counted
from isthmus.tables import rules
from isthmus.tables.golden import GOLDEN, Golden
from isthmus.tables.reevaluation import given_up
from isthmus.tables.stage import Batch
from isthmus.tables.unit import Unit

MAPPINGS = load_mappings()
ACCOUNT = MAPPINGS.entities["account"]
HEARD = {"salesforce": ("001S", {"name": "Alder", "phone": "1"}), "dynamics": ("d-1", {"name": "Birch", "phone": "2"})}


def by(changed: dict[str, Any]) -> EntityMapping:
    """The account mapping with other rules for some fields."""
    told = ACCOUNT.model_dump(mode="json", by_alias=True, exclude_none=True)
    for name, rule in changed.items():
        told["fields"][name] = {**told["fields"][name], "rule": rule}
    return EntityMapping.model_validate(told)


def order(mapping: EntityMapping, id: str = "o-1") -> Activation:
    """Somebody wants it in force."""
    return Activation(id, mapping.entity, document_of(mapping), "2026-02-01T00:00:00Z", "Ada", "the sales meeting")


class Node:
    """The two stages, and what they send each other."""

    def __init__(self) -> None:
        self.activating, self.merging = Desk(activate.stage()), Desk(merge.stage(MAPPINGS))
        self.records: list[str] = []
        self.writes: list[Any] = []

    async def hear(self, canonical: str) -> None:
        """Both systems tell of a record."""
        for number, (system, (_, fields)) in enumerate(HEARD.items(), 1):
            await self.says(canonical, system, f"2026-01-01T00:00:0{number}Z", fields)

    async def says(self, canonical: str, system: str, at: str, fields: dict[str, Any]) -> None:
        """A system tells of a record."""
        native = HEARD[system][0]
        await self._merge(Linked(system, native, "account", canonical, "update", fields, (), at, at, at, "tx"))

    async def wrote(self, canonical: str, system: str, fields: dict[str, Any]) -> None:
        """A write to a system was carried out."""
        native, version = HEARD[system][0], "2026-02-02T00:00:00Z"
        revision = self.golden(canonical).revision
        await self._merge(Report(system, native, canonical, "account", revision, "written", version, fields))

    async def obey(self, one: Activation) -> None:
        """An order, and everything that follows from it."""
        unit = await self.activating.work(Batch("activations", [one]))
        for told in sent(unit, "merge"):
            await self._merge(told)

    async def _merge(self, *items: Any) -> None:
        unit: Unit = await self.merging.work(Batch("merge", items))
        self.records += [dict(one.headers)["ce_type"].decode() for one in unit.records]
        self.writes += [*sent(unit, "writes.salesforce"), *sent(unit, "writes.dynamics")]
        if follows := sent(unit, "merge"):
            await self._merge(*follows)

    def golden(self, canonical: str) -> Golden:
        """A golden record."""
        raw = self.merging.tables["golden"].get(canonical.encode())
        assert raw is not None
        return GOLDEN.decode(raw)


@pytest.mark.parametrize("entity", MAPPINGS.entities)
def test_a_mapping_survives_as_a_document(entity: str) -> None:
    assert mapping_of(document_of(MAPPINGS.entities[entity])) == MAPPINGS.entities[entity]


async def test_what_lives_is_chosen_anew_and_the_systems_are_told() -> None:
    node = Node()
    await node.hear("c-1")
    assert node.golden("c-1").values()["name"] == "Alder"
    node.records.clear(), node.writes.clear()
    await node.obey(order(by({"name": {"owner": "dynamics"}})))
    golden = node.golden("c-1")
    assert (golden.values()["name"], dict(golden.whys())["name"].rule) == ("Birch", "owner dynamics")
    assert node.records == ["isthmus.account.updated"]
    # Dynamics was told Alder, and nobody has said yet whether that came to pass.
    told = {write["system"]: write["fields"]["name"] for write in node.writes}
    assert told == {"salesforce": "Birch", "dynamics": "Birch"}


async def test_what_does_not_differ_is_not_told() -> None:
    node = Node()
    await node.hear("c-1")
    node.records.clear(), node.writes.clear()
    await node.obey(order(by({"name": {"owner": "salesforce"}})))
    assert (node.records, node.writes) == ([], [])
    assert dict(node.golden("c-1").whys())["name"].rule == "owner salesforce"


async def test_what_comes_after_it_is_decided_by_it() -> None:
    node = Node()
    await node.obey(order(by({"name": {"owner": "dynamics"}})))
    await node.hear("c-1")
    assert node.golden("c-1").values()["name"] == "Birch"


async def test_the_version_before_it_gives_back_what_was_before() -> None:
    node = Node()
    await node.hear("c-1")
    before = node.golden("c-1").values()
    await node.obey(order(by({"name": {"owner": "dynamics"}, "phone": {"owner": "salesforce"}})))
    assert node.golden("c-1").values() != before
    await node.obey(order(ACCOUNT, "o-2"))
    assert node.golden("c-1").values() == before


async def test_what_our_write_replaced_does_not_come_back_and_is_told() -> None:
    node = Node()
    await node.hear("c-1")
    later = by({"name": {"owner": "dynamics"}})
    await node.obey(order(later))
    await node.wrote("c-1", "salesforce", {"name": "Birch"})
    assert given_up(node.golden("c-1"), version_of(document_of(later))) == {"name": "Alder"}
    told = Counted("account", version_of(document_of(ACCOUNT)))
    told.count(node.golden("c-1"), ACCOUNT, version_of(document_of(later)))
    assert (told.differing, told.lost) == (0, {"name": {"c-1": "Alder"}})
    await node.obey(order(ACCOUNT, "o-2"))
    assert node.golden("c-1").values()["name"] == "Birch"


async def test_what_comes_back_by_itself_or_was_said_anew_is_not_told_as_lost() -> None:
    later = by({"name": {"owner": "dynamics"}})
    for news in (False, True):
        node = Node()
        await node.hear("c-1")
        await node.obey(order(later))
        if news:
            await node.wrote("c-1", "salesforce", {"name": "Birch"})
            await node.says("c-1", "dynamics", "2026-03-01T00:00:00Z", {"name": "Cedar"})
        told = Counted("account", version_of(document_of(ACCOUNT)))
        told.count(node.golden("c-1"), ACCOUNT, version_of(document_of(later)))
        assert told.lost == {}


async def test_more_records_than_are_looked_at_at_once_are_all_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "AT_ONCE", 3)
    node = Node()
    names = [f"c-{number}" for number in range(11)]
    for name in names:
        await node.hear(name)
    await node.obey(order(by({"name": {"owner": "dynamics"}})))
    assert {node.golden(name).values()["name"] for name in names} == {"Birch"}


async def test_an_order_that_comes_twice_counts_once() -> None:
    node = Node()
    await node.hear("c-1")
    await node.obey(order(by({"name": {"owner": "dynamics"}})))
    node.records.clear()
    await node.obey(order(by({"name": {"owner": "dynamics"}})))
    assert node.records == []


def test_a_version_is_called_by_what_it_says() -> None:
    assert version_of(document_of(ACCOUNT)) == version_of(document_of(by({})))
    assert version_of(document_of(ACCOUNT)) != version_of(document_of(by({"name": "last_writer"})))
