"""merge rejects what breaks a rule: the books stay exact, and a task of the steward goes the way of any record."""

from __future__ import annotations

from typing import Any

from desk import Desk
from msgspec.structs import replace

from isthmus.agents import merge
from isthmus.codecs.linked import Linked, Loaded, Report
from isthmus.config.mapping import EntityMapping, Mappings, load_mappings
from isthmus.tables.stage import Batch
from isthmus.tables.unit import Unit

FILES = load_mappings().entities["account"].model_dump(by_alias=True)
ACCOUNT = EntityMapping.model_validate(FILES | {"stewards": {"tasks": "task"}})
TASK = EntityMapping.model_validate(
    {
        "entity": "task",
        "family": "task",
        "fields": {name: {"rule": "last_writer"} for name in ("subject", "description", "status")},
        "systems": {
            "salesforce": {
                "object": "Task",
                "external_id": "Isthmus_Id__c",
                "fields": {
                    "subject": {"column": "Subject", "direction": "out"},
                    "description": {"column": "Description", "direction": "out"},
                    "status": {"column": "Status", "direction": "out"},
                },
            }
        },
    }
)


def change(number: int, **fields: Any) -> Linked:
    when = f"2026-01-01T00:00:{number:02d}Z"
    return Linked("dynamics", "d", "account", "c", "update", fields, (), f"{number:020d}", when, f"d{number}", "corr")


def sent(unit: Unit, topic: str) -> list[Any]:
    """What goes to a topic."""
    return [one for (name, _), elements in unit.frames.items() for one in elements if name == topic]


def balanced(counts: dict[str, dict[str, int]], received: dict[str, int]) -> bool:
    """Is every change that came counted once?"""
    return all(
        sum(counts[of].get(name, 0) for name in ("applied", "unchanged", "echo", "parked", "dead")) == number
        for of, number in received.items()
    )


async def test_the_books_balance_while_it_waits_and_once_it_is_repaired() -> None:
    desk = Desk(merge.stage(Mappings([ACCOUNT, TASK])))
    await desk.work(Batch("merge", [change(1, credit_limit=-1), change(2, credit_limit=-2)]))
    assert desk.counts["dynamics/account"]["parked"] == 2
    assert balanced(desk.counts, {"dynamics/account": 2})
    await desk.work(Batch("merge", [change(3, credit_limit=1)]))
    assert desk.counts["dynamics/account"]["parked"] == 0
    assert balanced(desk.counts, {"dynamics/account": 3})


async def test_a_task_is_received_like_a_change_and_written_like_any_record() -> None:
    desk = Desk(merge.stage(Mappings([ACCOUNT, TASK])))
    unit = await desk.work(Batch("merge", [change(1, credit_limit=-1), change(2, credit_limit=-2)]))
    (opened,) = sent(unit, "merge")
    assert [one.reasons for one in sent(unit, "reviews")] == [
        ("credit_limit_not_negative: credit_limit -1 is less than 0",),
        ("credit_limit_not_negative: credit_limit -2 is less than 0",),
    ]
    assert not sent(unit, "writes.salesforce")
    unit = await desk.work(Batch("merge", [opened]))
    (wish,) = sent(unit, "writes.salesforce")
    assert (wish.entity, wish.fields["status"]) == ("task", "open")
    unit = await desk.work(Batch("merge", [change(3, credit_limit=1)]))
    (closed,) = sent(unit, "merge")
    unit = await desk.work(Batch("merge", [closed]))
    assert [wish.fields["status"] for wish in sent(unit, "writes.salesforce")] == ["done"]
    assert desk.counts["steward/task"]["received"] == 2
    assert balanced(desk.counts, {"steward/task": 2})


async def written(desk: Desk, items: list[Any]) -> list[tuple[str | None, Any]]:
    """Whom deliver is asked to write in Salesforce, and with which status, once merge has taken these in; carried out."""
    asked: list[tuple[str | None, Any]] = []
    while items:
        unit = await desk.work(Batch("merge", items))
        items = sent(unit, "merge")
        for wish in sent(unit, "writes.salesforce"):
            if wish.entity == "task":
                asked.append((wish.native_id, wish.fields.get("status")))
                told = ("salesforce", wish.native_id or "00T1", wish.canonical, "task", wish.revision, "written", None)
                items.append(Report(*told, wish.fields))
    return asked


def gone(task: Linked) -> Linked:
    """Somebody deleted the task, as the next read of it finds."""
    when = "2026-01-01T00:01:00Z"
    told = ("salesforce", "00T1", "task", task.canonical, "delete", {}, (), f"{60:020d}", when, "gone", "corr")
    return Linked(*told)


async def test_a_task_is_told_only_when_its_rule_is_broken_or_repaired() -> None:
    desk = Desk(merge.stage(Mappings([ACCOUNT, TASK])))
    assert await written(desk, [change(1, credit_limit=-1)]) == [(None, "open")]
    assert await written(desk, [change(2, credit_limit=-2)]) == []  # whoever completed it meanwhile is not contradicted
    assert await written(desk, [change(3, credit_limit=3)]) == [("00T1", "done")]
    assert await written(desk, [change(4, credit_limit=-4)]) == [("00T1", "open")]


async def test_what_people_wrote_into_a_task_is_not_written_over_when_it_is_closed() -> None:
    desk = Desk(merge.stage(Mappings([ACCOUNT, TASK])))
    await written(desk, [change(1, credit_limit=-1)])
    unit = await desk.work(Batch("merge", [change(2, credit_limit=2)]))
    unit = await desk.work(Batch("merge", sent(unit, "merge")))
    assert [wish.fields for wish in sent(unit, "writes.salesforce") if wish.entity == "task"] == [{"status": "done"}]


async def test_a_task_that_somebody_deleted_is_made_again_by_nothing() -> None:
    desk = Desk(merge.stage(Mappings([ACCOUNT, TASK])))
    unit = await desk.work(Batch("merge", [change(1, credit_limit=-1)]))
    (opened,) = sent(unit, "merge")
    assert await written(desk, [opened]) == [(None, "open")]
    assert await written(desk, [gone(opened)]) == []
    for number, limit in ((2, -2), (3, 3), (4, -4), (5, 5)):
        assert await written(desk, [change(number, credit_limit=limit)]) == []


async def test_rows_that_were_matched_wait_together_and_are_each_applied_by_the_repair() -> None:
    desk = Desk(merge.stage(Mappings([ACCOUNT, TASK])))
    rows = (change(1, credit_limit=-1), replace(change(1, name="A"), system="salesforce", native_id="s"))
    await desk.work(Batch("merge", [Loaded("c", "account", rows, "corr")]))
    assert [desk.counts[f"{system}/account"]["parked"] for system in ("dynamics", "salesforce")] == [1, 1]
    await desk.work(Batch("merge", [change(2, credit_limit=1)]))
    assert [desk.counts[f"{system}/account"]["parked"] for system in ("dynamics", "salesforce")] == [0, 0]
    assert balanced(desk.counts, {"dynamics/account": 2, "salesforce/account": 1})
