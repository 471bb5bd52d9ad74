"""The delta feed against the simulated environment: what it says, and from where it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest

from isthmus.codecs.arrival import Reread
from isthmus.config.errors import ReplayLost
from isthmus.config.mapping import SystemMapping, load_mappings
from isthmus.simulators.dynamics import DynamicsEnvironment, Served, serve_dynamics
from isthmus.systems.dynamics.adapter import Dynamics, DynamicsConfig
from isthmus.systems.protocol import Delivery

OBJECTS = {"account": load_mappings().objects("dynamics")["account"]}


class Clock:
    """The environment's time: long ago, so that nothing in it changed since a feed began."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def environment() -> DynamicsEnvironment:
    return DynamicsEnvironment(seed=7, clock=Clock())


@pytest.fixture
async def served(environment: DynamicsEnvironment) -> AsyncIterator[Served]:
    async with serve_dynamics(environment) as served:
        yield served


@asynccontextmanager
async def opened(
    environment: DynamicsEnvironment, served: Served, objects: Any = None, **changed: Any
) -> AsyncIterator[Dynamics]:
    """An adapter whose feed looks every 10 ms."""
    here = served.http_url
    config = DynamicsConfig(here, here, environment.tenant, environment.client_id, environment.client_secret)
    system = Dynamics(replace(config, feed_seconds=0.01, **changed), objects or OBJECTS)
    try:
        await system.open()
        yield system
    finally:
        await system.close()


async def pages(system: Dynamics, position: str | None, count: int) -> list[Delivery]:
    """So many pages after a position."""
    async with aclosing(cast(Any, system.changes(position))) as feed, asyncio.timeout(10):
        return [await anext(feed) for _ in range(count)]


async def page(system: Dynamics, position: str | None) -> Delivery:
    return (await pages(system, position, 1))[0]


def names(delivery: Delivery) -> list[Any]:
    return [one.found.fields["name"] if one.found else (one.record_id or "swept") for one in delivery.reads]


async def test_what_was_there_before_is_known_quietly_and_what_changes_then_is_told(
    environment: DynamicsEnvironment, served: Served
) -> None:
    one, two = (environment.create("account", {"name": name}) for name in "ab")
    async with opened(environment, served) as system:
        first = await page(system, None)
        assert (names(first), {read.quiet for read in first.reads}) == (["a", "b"], {True})
        environment.update("account", two, {"name": "B", "telephone1": None})
        environment.delete("account", one)
        second = await page(system, first.position)
    changed, gone = second.reads
    assert changed.found is not None
    assert changed.found.fields["name"] == "B"
    assert changed.found.version == str(environment.row("account", two)["versionnumber"]).zfill(20)
    assert not changed.quiet
    assert (gone.record_id, gone.found) == (one, None), "a deletion is a hint to look"


async def test_what_changes_while_a_feed_begins_is_not_quiet(served: Served, environment: DynamicsEnvironment) -> None:
    environment.create("account", {"name": "old"})
    environment.now = lambda: datetime.now(UTC) + timedelta(seconds=5)
    environment.create("account", {"name": "new"})
    async with opened(environment, served) as system:
        first = await page(system, "-2")
    assert [(read.found and read.found.fields["name"], read.quiet) for read in first.reads] == [
        ("old", True),
        ("new", False),
    ]


async def test_it_goes_on_from_any_page(environment: DynamicsEnvironment, served: Served) -> None:
    for number in range(5):
        environment.create("account", {"name": f"a{number}"})
    found, position = [], None
    for _ in range(3):
        async with opened(environment, served, page_rows=2) as system:
            delivery = await page(system, position)
            found += names(delivery)
            position = delivery.position
    assert found == ["a0", "a1", "a2", "a3", "a4"]
    environment.create("account", {"name": "a5"})
    async with opened(environment, served, page_rows=2) as system:
        assert names(await page(system, position)) == ["a5"]


async def test_an_expired_link_becomes_a_full_read_that_ends_with_a_sweep(
    environment: DynamicsEnvironment, served: Served
) -> None:
    one, two = (environment.create("account", {"name": name}) for name in "ab")
    async with opened(environment, served, page_rows=1) as system:
        *_, before = await pages(system, None, 2)
        environment.delete("account", one)
        environment.update("account", two, {"name": "B"})
        environment.create("account", {"name": "c"})
        environment.expire_links()
        read, last = await pages(system, before.position, 2)
        after = await page(system, last.position)
    assert (names(read), names(last), names(after)) == (["B"], ["c", "swept"], [])
    assert {one.full for one in (*read.reads, *last.reads)} == {2}
    assert not any(one.quiet for one in read.reads)
    assert last.reads[-1] == Reread("account", "", last.reads[-1].correlation, full=2, swept=True, use="batch")


async def test_links_that_expire_again_and_again_count_on(environment: DynamicsEnvironment, served: Served) -> None:
    environment.create("account", {"name": "a"})
    async with opened(environment, served) as system:
        delivery = await page(system, None)
        for full in (2, 3):
            environment.expire_links()
            delivery = await page(system, delivery.position)
            assert {read.full for read in delivery.reads} == {full}


async def test_columns_that_were_not_read_before_make_a_full_read_that_is_heard(
    environment: DynamicsEnvironment, served: Served
) -> None:
    environment.create("account", {"name": "a", "telephone1": "1"})
    account = OBJECTS["account"]
    fewer = SystemMapping.model_validate({**account.model_dump(by_alias=True), "fields": {"name": "name"}})
    async with opened(environment, served, {"account": fewer}) as system:
        before = await page(system, None)
    async with opened(environment, served) as system:
        after = await page(system, before.position)
        later = await page(system, after.position)
    (row, swept) = after.reads
    assert row.found is not None
    assert row.found.fields["telephone1"] == "1"
    assert row.nonce
    assert swept.swept
    assert later.reads == ()


async def test_another_organisation_is_not_followed_from_this_ones_position(
    environment: DynamicsEnvironment, served: Served
) -> None:
    async with opened(environment, served) as system:
        first = await page(system, None)
        other = msgspec.json.decode(first.position)
        other["organization"] = "another"
        with pytest.raises(ReplayLost, match="organisation"):
            await page(system, msgspec.json.encode(other).decode())


async def test_a_table_without_change_tracking_stops_no_other(environment: DynamicsEnvironment, served: Served) -> None:
    environment.tracked.discard("account")
    environment.create("contact", {"lastname": "Ada"})
    async with opened(environment, served, load_mappings().objects("dynamics")) as system:
        assert {read.object for read in (await page(system, None)).reads} == {"contact"}


async def test_it_waits_as_long_as_it_is_told_to(environment: DynamicsEnvironment, served: Served) -> None:
    async with (
        opened(environment, served) as system,
        aclosing(cast(Any, system.changes(None))) as feed,
        asyncio.timeout(10),
    ):
        await anext(feed)
        environment.create("account", {"name": "a"})
        environment.fail_next(2, 429, "0x80072322", retry_after=0.3, scope="reads")
        started = asyncio.get_running_loop().time()
        assert names(await anext(feed)) == ["a"]
        assert asyncio.get_running_loop().time() - started >= 0.6
