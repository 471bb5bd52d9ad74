"""The example adapter of docs/platforms.md keeps what the protocol promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shelves import installed

from isthmus.config.errors import ConflictError, PermanentError, ReplayLost, TransientError
from isthmus.config.mapping import Mappings, load_mappings
from isthmus.config.settings import Settings
from isthmus.node.systems import open_systems
from isthmus.systems.protocol import Reference, System, Write, Written

MAPPING = """
entity: account
family: customer
fields:
  name: {type: string, rule: {precedence: [shelf]}}
  phone: {type: string, rule: last_writer}
systems:
  shelf:
    object: people
    external_id: isthmus_id
    fields: {name: name, phone: phone}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shelf").mkdir()
    return tmp_path / "shelf"


@pytest.fixture
def mappings(tmp_path: Path) -> Mappings:
    (tmp_path / "entities").mkdir()
    (tmp_path / "entities" / "account.yaml").write_text(MAPPING)
    return load_mappings(tmp_path / "entities")


@pytest.fixture
def shelf(tmp_path: Path, folder: Path, mappings: Mappings, monkeypatch: pytest.MonkeyPatch) -> System:
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(str(installed(tmp_path / "site")))
    settings = Settings.model_validate({"platforms": {"shelf": {"folder": str(folder), "every": 0.01}}})
    (system,) = open_systems(settings, mappings)
    return system


def person(key: str, record_id: str | None = None, version: str | None = None, **fields: Any) -> Write:
    return Write("people", key, record_id, fields, version)


async def written(system: System, *writes: Write) -> list[Written]:
    answers = await system.write(writes)
    assert all(isinstance(answer, Written) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Written)]


async def test_it_finds_its_needs_and_makes_them(shelf: System, folder: Path) -> None:
    assert [(one.name, one.ok, bool(one.hint)) for one in await shelf.check()] == [
        ("folder", True, False),
        ("people", False, True),
    ]
    assert all(one.ok for one in await shelf.provision(True))
    assert all(one.ok for one in await shelf.check())


async def test_writes_are_repeatable_and_each_has_its_answer(shelf: System) -> None:
    wishes = [person("c-1", name="Alder"), Write("stones", "x", None, {}), person("c-2", name="Birch")]
    first, refused, second = await shelf.write(wishes)
    assert isinstance(refused, PermanentError)
    again = await shelf.write(wishes)
    assert isinstance(first, Written)
    assert isinstance(second, Written)
    assert [one.record_id for one in again if isinstance(one, Written)] == [first.record_id, second.record_id]
    assert not any(one.created for one in again if isinstance(one, Written))
    assert len([row async for row in shelf.scan("people")]) == 2


async def test_an_update_never_creates_and_holds_to_the_version(shelf: System) -> None:
    (one,) = await written(shelf, person("c-1", name="Alder", phone="1"))
    (gone,) = await shelf.write([person("c-9", "nobody", name="x")])
    assert isinstance(gone, ConflictError)
    (changed,) = await written(shelf, person("c-1", one.record_id, one.version, phone=None))
    (stale,) = await shelf.write([person("c-1", one.record_id, one.version, phone="2")])
    assert isinstance(stale, ConflictError)
    (row, none) = await shelf.read("people", [one.record_id, "nobody"])
    assert row.fields == {"name": "Alder", "phone": None, "isthmus_id": "c-1"}
    assert row.version == changed.version
    assert changed.version is not None
    assert one.version is not None
    assert changed.version > one.version
    assert not none.exists


async def test_references_are_found_by_external_id(shelf: System) -> None:
    child = Write("people", "c-2", None, {"name": "Birch"}, references={"phone": Reference("people", "c-1")})
    (missing,) = await shelf.write([child])
    assert isinstance(missing, TransientError)
    second, first = await written(shelf, child, person("c-1", name="Alder"))
    (row,) = await shelf.read("people", [second.record_id])
    assert row.fields["phone"] == first.record_id


async def test_its_log_is_told_after_a_position_and_a_bad_line_stops_nothing(shelf: System, folder: Path) -> None:
    await written(shelf, person("c-1", name="Alder"))
    with (folder / "log.jsonl").open("a") as log:
        log.write("nonsense\n")
    await written(shelf, person("c-2", name="Birch", phone=None))
    told = shelf.changes("-2")
    first, bad, second = [await anext(told) for _ in range(3)]
    assert bad.error is not None
    (change,) = second.changes
    assert (change.operation, change.fields["name"], change.cleared) == ("create", "Birch", ("phone",))
    after = shelf.changes(first.position)
    assert (await anext(after)).error is not None
    with pytest.raises(ReplayLost):
        await anext(shelf.changes("99"))


async def test_a_record_is_deleted_on_its_version_and_what_is_gone_was_deleted(shelf: System) -> None:
    (one,) = await written(shelf, person("c-1", name="Alder"))
    stale, gone = (replace(person("c-1", one.record_id, version), delete=True) for version in ("0", one.version))
    (answer,) = await shelf.write([stale])
    assert isinstance(answer, ConflictError)
    for _ in range(2):
        assert await written(shelf, gone) == [Written(one.record_id, None, created=False)]
    (row,) = await shelf.read("people", [one.record_id])
    assert not row.exists
