"""What every adapter owes where there are many: writes of many records, scans, and what it needs of its platform."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta

import pytest
from worlds import World

from isthmus.config.errors import ConflictError, MissingReference, PermanentError, PlatformError, TransientError
from isthmus.systems.protocol import System, Write, Written

TOO_LONG = "x" * 5000
# Platforms that say when what a record points at is missing, and not only that something is.
TOLD_APART = {"salesforce", "dynamics"}


def test_the_protocol_stays_small() -> None:
    methods = [name for name, _ in inspect.getmembers(System, inspect.isfunction) if not name.startswith("_")]
    assert len(methods) <= 8


# -- write


async def test_no_writes_have_no_answers(world: World) -> None:
    assert await world.system.write([]) == []


@pytest.mark.parametrize("number", [2, 40, 250])
async def test_each_of_many_has_its_own_answer_in_order(world: World, number: int) -> None:
    bad = number // 2
    wishes = [world.upsert(f"can-{n}", name=TOO_LONG if n == bad else f"N{n}") for n in range(number)]
    answers = await world.system.write(wishes)
    assert [isinstance(answer, Written) for answer in answers] == [n != bad for n in range(number)]
    assert isinstance(answers[bad], PermanentError)
    rows = world.people.rows(world.entity.object)
    assert len(rows) == number - 1
    for n, answer in enumerate(answers):
        if isinstance(answer, Written):
            assert rows[answer.record_id][world.entity.external_id] == f"can-{n}"
            assert world.stored(answer.record_id)["name"] == f"N{n}"


@pytest.mark.parametrize("number", [1, 40, 250])
async def test_a_repeat_of_many_changes_nothing(world: World, number: int) -> None:
    wishes = [world.upsert(f"can-{n}", name=f"N{n}") for n in range(number)]
    first, again = await world.system.write(wishes), await world.system.write(list(reversed(wishes)))
    ids = [answer.record_id for answer in first if isinstance(answer, Written)]
    assert len(set(ids)) == number
    assert [answer.record_id for answer in reversed(again) if isinstance(answer, Written)] == ids
    assert not any(answer.created for answer in again if isinstance(answer, Written))
    assert len(world.people.rows(world.entity.object)) == number


async def test_updates_and_upserts_and_what_is_not_mapped_go_together(world: World) -> None:
    record_id = world.create(phone="1")
    update = Write(world.entity.object, "can-1", record_id, world.fields(phone="2"))
    wishes = [world.upsert("can-2", name="Birch"), Write("Nonsense", "x", None, {}), update]
    made, refused, changed = await world.system.write(wishes)
    assert isinstance(made, Written)
    assert isinstance(refused, PermanentError)
    assert isinstance(changed, Written)
    assert (made.created, changed.record_id) == (True, record_id)
    assert world.stored(record_id)["phone"] == "2"


async def test_a_busy_platform_costs_no_answer_and_a_repeat_makes_all_of_it(world: World) -> None:
    wishes = [world.upsert(f"can-{n}", name=f"N{n}") for n in range(30)]
    world.fail(1, 0.01)
    answers = await world.system.write(wishes)
    assert len(answers) == 30
    assert any(isinstance(answer, TransientError) for answer in answers)
    assert all(isinstance(answer, Written | TransientError) for answer in answers)
    assert all(isinstance(answer, Written) for answer in await world.system.write(wishes))
    assert len(world.people.rows(world.entity.object)) == 30


async def test_what_refers_to_another_write_is_written_after_it(world: World) -> None:
    child, parent = await world.system.write([world.belonging("child-1", "can-1"), world.upsert("can-1", name="Alder")])
    assert isinstance(child, Written)
    assert isinstance(parent, Written)
    assert str(world.owner_of(child.record_id)) in parent.record_id
    assert world.owner_of(child.record_id)


async def test_a_record_that_is_referred_to_and_not_there_is_an_error_and_makes_nothing(world: World) -> None:
    (answer,) = await world.system.write([world.belonging("child-1", "can-1")])
    assert isinstance(answer, MissingReference if world.system.name in TOLD_APART else PlatformError)
    assert world.people.rows(world.child[0]) == {}
    await world.system.write([world.upsert("can-1", name="Alder")])
    (answer,) = await world.system.write([world.belonging("child-1", "can-1")])
    assert isinstance(answer, Written)


# -- scan


async def test_a_scan_tells_every_record_once_as_a_read_does(world: World) -> None:
    ids = [world.create(account_number=str(number)) for number in range(300)]
    gone = world.create()
    world.people.delete(world.entity.object, gone)
    rows = await world.scan()
    assert sorted(row.record_id for row in rows) == sorted(ids)
    some = {row.record_id: row for row in rows if row.record_id in ids[:5]}
    for read in await world.read(*ids[:5]):
        told = some[read.record_id]
        assert (told.exists, dict(told.fields), told.version) == (True, dict(read.fields), read.version)


async def test_a_scan_of_nothing_is_empty_and_of_an_unmapped_object_is_refused(world: World) -> None:
    assert await world.scan() == []
    with pytest.raises(PermanentError):
        _ = [row async for row in world.system.scan("Nonsense")]


async def test_a_scan_since_a_time_tells_what_changed_or_says_that_it_cannot(world: World) -> None:
    record_id = world.create()
    hour = timedelta(hours=1)
    before, after = ((datetime.now(UTC) + by).strftime("%Y-%m-%dT%H:%M:%SZ") for by in (-hour, hour))
    if not world.recalls:
        with pytest.raises(PermanentError):
            await world.scan(before)
        return
    assert [row.record_id for row in await world.scan(before)] == [record_id]
    assert await world.scan(after) == []


# -- provision


async def test_what_is_needed_is_told_by_name_and_with_a_hint_and_nothing_is_made(world: World) -> None:
    before = dict(world.people.rows(world.entity.object))
    findings = await world.system.provision(False)
    assert len(findings) >= 3
    assert all(finding.name and finding.message for finding in findings)
    assert all(finding.hint for finding in findings if not finding.ok)
    assert [one.name for one in await world.system.provision(False) if not one.ok] == [
        one.name for one in findings if not one.ok
    ]
    assert dict(world.people.rows(world.entity.object)) == before


async def test_making_it_twice_finds_everything_there(world: World) -> None:
    await world.system.provision(True)
    again = await world.system.provision(True)
    assert [finding for finding in again if not finding.ok] == []
    assert [finding for finding in await world.system.check() if not finding.ok] == []


# -- delete


def _gone(world: World, record_id: str, if_version: str | None = None) -> Write:
    return Write(world.entity.object, "can-1", record_id, {}, if_version, delete=True)


@pytest.mark.parametrize("number", [1, 3, 40, 250])
async def test_what_is_to_be_deleted_is_and_only_that(world: World, number: int) -> None:
    ids, stays = [world.create(account_number=str(n)) for n in range(number)], world.create(account_number="x")
    answers = await world.system.write([_gone(world, one) for one in ids])
    assert [answer.record_id for answer in answers if isinstance(answer, Written)] == ids
    assert not any(answer.version or answer.created for answer in answers if isinstance(answer, Written))
    assert set(world.people.rows(world.entity.object)) == {stays}


@pytest.mark.parametrize("number", [1, 40])
async def test_what_is_not_there_any_more_was_deleted(world: World, number: int) -> None:
    gone = world.create()
    world.people.delete(world.entity.object, gone)
    for record_id in (gone, world.unknown_id):
        answers = await world.system.write([_gone(world, record_id)] * number)
        assert [answer.record_id for answer in answers if isinstance(answer, Written)] == [record_id] * number


async def test_deletes_and_other_writes_go_together(world: World) -> None:
    gone = world.create()
    made, ended, refused = await world.system.write(
        [world.upsert("can-2", name="Birch"), _gone(world, gone), Write("Nonsense", "x", "y", {}, delete=True)]
    )
    assert isinstance(made, Written)
    assert isinstance(ended, Written)
    assert isinstance(refused, PermanentError)
    assert set(world.people.rows(world.entity.object)) == {made.record_id}


async def test_a_busy_platform_deletes_nothing_and_a_repeat_does(world: World) -> None:
    record_id = world.create()
    world.fail(1, 0.01)
    (answer,) = await world.system.write([_gone(world, record_id)])
    assert isinstance(answer, TransientError)
    assert record_id in world.people.rows(world.entity.object)
    (answer,) = await world.system.write([_gone(world, record_id)])
    assert isinstance(answer, Written)


async def test_a_row_that_changed_meanwhile_is_not_deleted_where_versions_tell(world: World) -> None:
    record_id = world.create(phone="1")
    (row,) = await world.read(record_id)
    world.people.update(world.entity.object, record_id, world.fields(phone="2"))
    (answer,) = await world.system.write([_gone(world, record_id, row.version)])
    assert isinstance(answer, Written if row.version is None else ConflictError)
    assert (record_id in world.people.rows(world.entity.object)) == (row.version is not None)


async def test_our_id_can_be_taken_from_a_record(world: World) -> None:
    written = await world.write("can-1", None, name="Alder")
    (answer,) = await world.system.write(
        [Write(world.entity.object, "can-1", written.record_id, {world.entity.external_id: None})]
    )
    assert isinstance(answer, Written)
    assert not world.people.rows(world.entity.object)[written.record_id][world.entity.external_id]
