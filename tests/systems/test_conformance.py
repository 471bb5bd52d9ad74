"""What every adapter owes: the same questions to each, against the simulated platforms on real sockets."""

from __future__ import annotations

import asyncio

import pytest
from one import write_one
from worlds import World

from isthmus.config.errors import AuthError, ConflictError, IsthmusError, PermanentError, TransientError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.protocol import Write

KEYS = ("can-1", "O'Neil", "ä b&c=d#e?f%g+h")


# -- read


async def test_a_read_gives_every_mapped_column_under_its_own_name(world: World) -> None:
    record_id = world.create(phone="123", employees=12, credit_limit=1000.5, billing_city="Ulm")
    (row,) = await world.read(record_id)
    assert row.exists
    assert set(row.fields) == set(world.entity.columns)
    assert {name: row.fields[native] for name, native in world.entity.fields.items()} == dict(world.stored(record_id))
    assert (row.changed_at is not None) == world.dated
    assert (row.changed_at or "Z").endswith("Z")


async def test_what_is_empty_is_none(world: World) -> None:
    (row,) = await world.read(world.create())
    assert row.fields[world.entity.fields["phone"]] is None
    assert row.fields[world.entity.external_id] is None


async def test_a_whole_amount_is_an_integer_and_another_a_float(world: World) -> None:
    rows = await world.read(world.create(credit_limit=1000.0), world.create(credit_limit=0.1))
    amounts = [row.fields[world.entity.fields["credit_limit"]] for row in rows]
    assert amounts == [1000, 0.1]
    assert [type(amount) for amount in amounts] == [int, float]


async def test_every_id_gets_one_row_also_what_is_not_there_or_no_id(world: World) -> None:
    there, gone = world.create(), world.create()
    world.people.delete(world.entity.object, gone)
    asked = [gone, world.unknown_id, there, "", "x'); --", there]
    rows = await world.read(*asked)
    assert {row.record_id: row.exists for row in rows} == {one: one == there for one in asked}
    assert len(rows) == 5
    assert all(not row.fields and row.version is None for row in rows if not row.exists)


async def test_a_read_of_nothing_is_nothing(world: World) -> None:
    assert await world.read() == []


async def test_a_read_of_many_is_whole(world: World) -> None:
    ids = [world.create(account_number=str(number)) for number in range(450)]
    rows = await world.read(*ids)
    column = world.entity.fields["account_number"]
    assert [row.record_id for row in rows] == ids
    assert [row.fields[column] for row in rows] == [str(number) for number in range(450)]


async def test_an_object_that_is_not_mapped_is_refused(world: World) -> None:
    with pytest.raises(PermanentError):
        await world.system.read("Nonsense", [world.unknown_id])
    with pytest.raises(PermanentError):
        await write_one(world.system, Write("Nonsense", "can-1", None, {}))


# -- write


@pytest.mark.parametrize("key", KEYS)
async def test_an_upsert_creates_once_and_then_updates(world: World, key: str) -> None:
    first = await world.write(key, None, name="Alder", employees=5)
    again = await world.write(key, None, name="Alder", employees=5)
    then = await world.write(key, None, name="Birch")
    assert (first.created, again.created, then.created) == (True, False, False)
    assert first.record_id == again.record_id == then.record_id
    assert world.stored(first.record_id)["name"] == "Birch"
    assert world.people.rows(world.entity.object)[first.record_id][world.entity.external_id] == key


async def test_an_update_by_id_changes_and_clears_and_leaves_the_rest(world: World) -> None:
    record_id = world.create(phone="123", website="https://a.example", credit_limit=7)
    written = await world.write("can-1", record_id, phone=None, credit_limit=8.25)
    assert (written.record_id, written.created) == (record_id, False)
    stored = world.stored(record_id)
    assert (stored["phone"], stored["website"], stored["credit_limit"]) == (None, "https://a.example", 8.25)


async def test_an_update_by_id_may_say_the_external_id(world: World) -> None:
    record_id = world.create()
    fields = world.fields(phone="1") | {world.entity.external_id: "can-9"}
    await write_one(world.system, Write(world.entity.object, "can-9", record_id, fields))
    assert world.people.rows(world.entity.object)[record_id][world.entity.external_id] == "can-9"
    again = await world.write("can-9", None, phone="2")
    assert (again.record_id, again.created) == (record_id, False)


async def test_an_update_never_creates(world: World) -> None:
    gone = world.create()
    world.people.delete(world.entity.object, gone)
    for record_id in (gone, world.unknown_id):
        with pytest.raises(ConflictError):
            await world.write("can-1", record_id, name="Birch")
    assert world.people.rows(world.entity.object) == {}


async def test_what_is_written_is_read_back_the_same(world: World) -> None:
    values = {"name": "Ünïcødé & Söhne", "employees": 12, "credit_limit": 99.95, "phone": None, "website": "a\\'b"}
    written = await world.write("can-1", None, **values)
    (row,) = await world.read(written.record_id)
    assert {name: row.fields[world.entity.fields[name]] for name in values} == values


async def test_concurrent_upserts_of_one_new_key_make_one_record(world: World) -> None:
    answers = await asyncio.gather(*(world.write("can-1", None, name=f"N{number}") for number in range(8)))
    assert len({answer.record_id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1
    assert len(world.people.rows(world.entity.object)) == 1


# -- trouble


async def test_expired_tokens_are_renewed_without_anyone_noticing(world: World) -> None:
    record_id = world.create()
    world.people.expire_tokens()
    rows = await asyncio.gather(*(world.read(record_id) for _ in range(10)))
    assert all(row.exists for (row,) in rows)
    world.people.expire_tokens()
    assert (await world.write("can-1", record_id, phone="1")).record_id == record_id


async def test_a_busy_platform_is_transient_and_says_when_to_come_back(world: World) -> None:
    world.fail(1, 7)
    with pytest.raises(TransientError) as caught:
        await world.write("can-1", None, name="Alder")
    assert caught.value.retry_after == 7.0
    assert (await world.write("can-1", None, name="Alder")).created


async def test_a_value_that_never_fits_is_permanent(world: World) -> None:
    with pytest.raises(PermanentError):
        await world.write("can-1", None, name="x" * 5000)
    assert world.people.rows(world.entity.object) == {}


async def test_a_wrong_secret_is_an_auth_error_that_does_not_tell_it(world: World) -> None:
    system = world.adapter(secret="hush-hush")
    try:
        with pytest.raises(AuthError) as caught:
            await system.open()
        assert "hush-hush" not in f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r}"
        assert caught.value.hint
    finally:
        await system.close()


async def test_nobody_there_is_transient(world: World) -> None:
    system = world.adapter(url="http://localhost:1")
    with pytest.raises(TransientError):
        await system.open()
    await system.close()


async def test_closed_twice_and_opened_again_it_works(world: World) -> None:
    record_id = world.create()
    await world.system.close()
    await world.system.close()
    with pytest.raises(IsthmusError):
        await world.read(record_id)
    await world.system.open()
    assert (await world.read(record_id))[0].exists


# -- check


async def test_a_platform_that_is_right_passes_the_check(world: World) -> None:
    findings = await world.system.check()
    assert [finding for finding in findings if not finding.ok] == []
    assert len(findings) >= 5


async def test_check_finds_a_field_that_is_not_there(world: World) -> None:
    wrong = world.entity.model_dump(by_alias=True)
    wrong["fields"] = {"name": world.entity.fields["name"], "phone": "Nonsense__c"}
    system = world.adapter(objects={world.entity.object: SystemMapping.model_validate(wrong)})
    try:
        bad = [finding for finding in await system.check() if not finding.ok]
    finally:
        await system.close()
    assert ["Nonsense__c is missing" in finding.message for finding in bad] == [True]
    assert bad[0].hint


async def test_check_finds_an_external_id_that_is_none(world: World) -> None:
    if not world.keyed:
        pytest.skip("any text column may hold our reference there")
    wrong = {**world.entity.model_dump(by_alias=True), "external_id": world.entity.fields["phone"]}
    wrong["fields"] = {"name": world.entity.fields["name"]}
    system = world.adapter(objects={world.entity.object: SystemMapping.model_validate(wrong)})
    try:
        bad = [finding for finding in await system.check() if not finding.ok]
    finally:
        await system.close()
    assert len(bad) == 1
    assert world.entity.fields["phone"] in bad[0].message + bad[0].name


async def test_check_of_an_object_that_is_not_there_still_asks_the_rest(world: World) -> None:
    wrong = {**world.entity.model_dump(by_alias=True), "object": "Nonsense"}
    objects = {"Nonsense": SystemMapping.model_validate(wrong), world.entity.object: world.entity}
    system = world.adapter(objects=objects)
    try:
        findings = await system.check()
    finally:
        await system.close()
    assert [finding.name for finding in findings if not finding.ok] == ["Nonsense"]
    assert any(finding.ok and world.entity.object in finding.name for finding in findings)


async def test_check_never_raises(world: World) -> None:
    for system in (world.adapter(secret="wrong"), world.adapter(url="http://localhost:1")):
        try:
            (finding,) = await system.check()
        finally:
            await system.close()
        assert not finding.ok
