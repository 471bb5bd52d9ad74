"""Who is who, over several partitions: the same changes end in the same links, whoever comes first."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from partitions import Partitions

from isthmus.codecs.change import Change, Value
from isthmus.config.mapping import load_mappings
from isthmus.tables.ledger import Tally, balance
from isthmus.tables.xref import XREF

MAPPINGS = load_mappings()
COLUMNS = {system: MAPPINGS.entities["account"].systems[system] for system in ("salesforce", "dynamics")}


def change(system: str, native: str, version: int, fields: dict[str, Value], external: str | None = None) -> Change:
    mapping = COLUMNS[system]
    told = {mapping.fields[name]: value for name, value in fields.items()}
    told |= {mapping.external_id: external} if external else {}
    return Change(
        system,
        mapping.object,
        native,
        "create" if version == 1 else "update",
        told,
        (),
        f"{version:04d}",
        f"2026-01-01T00:{int(native[1:]) % 60:02d}:{version * 2 + (system == 'dynamics'):02d}Z",
        None,
        None,
        f"{native}@{version}",
    )


class Story:
    """Customers, each with one or two records a system, which say sooner or later by what they belong together."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.streams: list[list[Change]] = []
        for customer in range(1, self.chance.randint(2, 5)):
            self._customer(customer)

    def _customer(self, customer: int) -> None:
        key, external = f"K-{customer}", f"c-{customer}"
        self._record("salesforce", f"S{customer}", key, None)
        if self.chance.random() < 0.8:
            self._record("dynamics", f"D{customer}", key, self.chance.choice([None, external]))
        if self.chance.random() < 0.3:  # a second record there, which only a canonical id makes the same customer
            self._record("dynamics", f"D{customer + 30}", None, external)

    def _record(self, system: str, native: str, key: str | None, external: str | None) -> None:
        steps = self.chance.randint(1, 4)
        key_at, external_at = self.chance.randint(1, steps), self.chance.randint(1, steps)
        stream = []
        for version in range(1, steps + 1):
            fields: dict[str, Value] = {self.chance.choice(["name", "phone", "website"]): f"{native}.{version}"}
            fields |= {"account_number": key} if key and version >= key_at else {}
            stream.append(change(system, native, version, fields, external if version >= external_at else None))
        self.streams.append(stream)


Outcome = dict[frozenset[str], Any]


async def played(story: Story, seed: int) -> tuple[Outcome, Partitions]:
    world = Partitions(MAPPINGS, seed)
    await world.run(story.streams)
    assert world.letters == []
    told = {one.record_id for stream in story.streams for one in stream}
    found: Outcome = {}
    for golden in world.golden().values():
        natives = frozenset(native for held in golden.links.values() for native in held if native in told)
        assert natives not in found
        found[natives] = golden.values()
    return found, world


def balanced(world: Partitions) -> bool:
    assert any("delivery_intended" in line for line in world.counts.values())
    return balance(Tally(world.counts), ()).balanced


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**32), st.integers(0, 2**32))
async def test_any_order_of_arrival_ends_in_the_same_links_and_values(seed: int, one: int, other: int) -> None:
    first, first_world = await played(Story(seed), one)
    second, second_world = await played(Story(seed), other)
    assert first == second
    assert balanced(first_world)
    assert balanced(second_world)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
async def test_at_rest_intake_sends_each_record_where_it_belongs(seed: int, pace: int) -> None:
    _, world = await played(Story(seed), pace)
    golden = world.golden()
    for key, raw in world.rows("xref").items():
        system, _, native = key.decode().partition(":")
        assert native in golden[XREF.decode(raw).canonical].links[system]
    assert not any(one.awaits for one in golden.values())
