"""Stewards' tasks in both simulated platforms: about their record, closed over what people did, and gone quietly."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from desk import letters, sent
from test_references_written import PLACES, later

from isthmus.config.mapping import ENTITIES, EntityMapping, Mappings, load_mappings

FILES = {"salesforce": "task.yaml", "dynamics": "dynamics/task.yaml"}
TABLE = {"salesforce": "Task", "dynamics": "task"}
DONE: dict[str, dict[str, Any]] = {"salesforce": {"Status": "Completed"}, "dynamics": {"statecode": 1}}
EVERYWHERE = pytest.mark.parametrize("name", PLACES)


def mappings(name: str) -> Mappings:
    task = EntityMapping.model_validate(yaml.safe_load((ENTITIES / "optional" / FILES[name]).read_text()))
    return Mappings([*load_mappings().entities.values(), task])


@pytest.mark.parametrize("entity", ["account", "contact"])
async def test_a_task_in_dynamics_regards_its_record_once_that_bears_our_id(entity: str) -> None:
    async with PLACES["dynamics"](mappings("dynamics")) as place:
        desk = place.open(mappings("dynamics"))
        unit = await desk.work(*place.wish("t", "task", subject="Look", status="open", **{entity: "c"}))
        assert [row["subject"] for row in place.people.rows("task").values()] == ["Look"]
        assert [one["canonical"] for one in sent(unit, "merge") if one["kind"] == "tell"] == ["c"]
        name = {"account": {"name": "Alder"}, "contact": {"last_name": "Moss"}}[entity]
        await desk.work(*place.wish("c", entity, **name))
        await later(desk, place)
        (row,) = place.people.rows("task").values()
        assert row["regardingobjectid"] in place.people.rows(entity)


@EVERYWHERE
async def test_a_task_that_somebody_completed_is_closed_without_a_word(name: str) -> None:
    async with PLACES[name](mappings(name)) as place:
        desk = place.open(mappings(name))
        await desk.work(*place.wish("t", "task", subject="Look", description="why", status="open"))
        ((native, _),) = place.people.rows(TABLE[name]).items()
        place.people.update(TABLE[name], native, DONE[name])
        unit = await desk.work(*place.wish("t", "task", native, status="done"))
        assert [one["outcome"] for one in sent(unit, "merge")] == ["written"]
        row = place.people.rows(TABLE[name])[native]
        assert {column: row[column] for column in DONE[name]} == DONE[name]


@EVERYWHERE
async def test_a_task_that_somebody_deleted_is_no_dead_letter_and_is_looked_for(name: str) -> None:
    async with PLACES[name](mappings(name)) as place:
        desk = place.open(mappings(name))
        await desk.work(*place.wish("t", "task", subject="Look", status="open"))
        ((native, _),) = place.people.rows(TABLE[name]).items()
        place.people.delete(TABLE[name], native)
        unit = await desk.work(*place.wish("t", "task", native, status="done"))
        assert letters(unit) == []
        assert [one["outcome"] for one in sent(unit, "merge")] == ["refused"]
        assert [one["record_id"] for one in sent(unit, f"rereads.{name}")] == [native]
        assert desk.counts[f"{name}/task"]["delivery_superseded"] == 1
