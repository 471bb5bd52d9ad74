"""What tests may order from every simulated platform alike, and what an adapter makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from worlds import World

from isthmus.config.errors import PermanentError, PlatformError, TransientError
from isthmus.systems.protocol import Write, Written


def people(world: World) -> Any:
    """The simulator with its knobs."""
    return world.people


async def answers(world: World, *names: tuple[str, str | None, str]) -> list[Written | PlatformError]:
    """What writes of a key, an id and a name are answered."""
    made = [
        Write(world.entity.object, key, record_id, world.fields(name=name, account_number=key))
        for key, record_id, name in names
    ]
    return list(await world.system.write(made))


def names_of(world: World) -> list[Any]:
    return [world.stored(one)["name"] for one in world.people.rows(world.entity.object)]


async def test_a_row_that_someone_else_holds_is_tried_again_and_holds_up_no_other(world: World) -> None:
    held, free = world.create(), world.create()
    people(world).lock(held)
    first, second = await answers(world, ("k1", held, "Birch"), ("k2", free, "Cedar"))
    assert isinstance(first, TransientError), first
    assert isinstance(second, Written), second
    assert names_of(world) == ["Alder", "Cedar"]
    people(world).recover()
    (again,) = await answers(world, ("k1", held, "Birch"))
    assert isinstance(again, Written)
    assert names_of(world) == ["Birch", "Cedar"]


async def test_a_write_that_the_platform_takes_back_at_its_end_leaves_nothing(world: World) -> None:
    record_id = world.create()
    people(world).roll_back()
    (refused,) = await answers(world, ("k1", record_id, "Birch"))
    assert isinstance(refused, PermanentError), refused
    assert names_of(world) == ["Alder"]
    (written,) = await answers(world, ("k1", record_id, "Birch"))
    assert isinstance(written, Written)


async def test_a_new_record_that_the_platform_takes_back_at_its_end_was_never_there(world: World) -> None:
    people(world).roll_back()
    (refused,) = await answers(world, ("k1", None, "Birch"))
    assert isinstance(refused, PlatformError), refused
    assert names_of(world) == []
    (written,) = await answers(world, ("k1", None, "Birch"))
    assert isinstance(written, Written)
    assert written.created


@pytest.mark.parametrize("trouble", [{"unreachable": True}, {"status": 500}, {"status": 503}])
async def test_a_platform_that_cannot_be_reached_or_fails_is_tried_again(world: World, trouble: dict[str, Any]) -> None:
    record_id = world.create()
    for name, value in trouble.items():
        setattr(people(world).outage, name, value)
    (failed,) = await answers(world, ("k1", record_id, "Birch"))
    assert isinstance(failed, TransientError), failed
    people(world).outage.over()
    (written,) = await answers(world, ("k1", record_id, "Birch"))
    assert isinstance(written, Written)


async def test_tokens_that_end_are_renewed(world: World) -> None:
    record_id = world.create()
    await world.read(record_id)
    people(world).expire_tokens()
    (row,) = await world.read(record_id)
    assert row.exists
