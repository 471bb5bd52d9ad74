"""The whole way of a bad record: rejected, listed, with a task for its steward; repaired, and everything flows on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
from oracle import committed
from test_translated_way import proven

from isthmus.codecs.reviews import Review
from isthmus.config.mapping import ENTITIES
from isthmus.node.theatre import Progress, settle, theatre

TASK = """
entity: task
family: task
fields:
  subject: {rule: last_writer}
  description: {rule: last_writer}
  about: {rule: last_writer}
  status: {rule: last_writer, values: {open: {salesforce: Not Started}, done: {salesforce: Completed}}}
systems:
  salesforce:
    object: Task
    external_id: Isthmus_Id__c
    fields:
      subject: {column: Subject, direction: out}
      description: {column: Description, direction: out}
      about: {column: WhatId, direction: out}
      status: {column: Status, direction: out, transform: picklist}
"""
STEWARDS = "stewards: {tasks: task, about: {about: salesforce}}\n"


REGARDING = "stewards: {{tasks: task, regarding: {{{}: dynamics}}}}\n"


async def reviews(bootstrap: str, namespace: str) -> list[Review]:
    """What was asked and settled, in order."""
    frames = await committed(bootstrap, f"{namespace}reviews")
    return [one for frame in frames for one in msgspec.json.decode(frame.value, type=list[Review])]


async def test_a_bad_record_waits_with_one_task_until_it_is_repaired(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    folder = tmp_path / "entities"
    folder.mkdir()
    (folder / "account.yaml").write_text((ENTITIES / "account.yaml").read_text() + STEWARDS)
    (folder / "task.yaml").write_text(TASK)
    more = {"ISTHMUS_ENTITIES_DIR": str(folder)}
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=41, more=more) as stage:
        account = stage.org.create("Account", {"Name": "Alder", "AccountNumber": "A-1"})
        await settle(stage, Progress(), 60)
        ((row_id, _),) = stage.environment.rows("account").items()

        for limit in (-1, -2):
            stage.environment.update("account", row_id, {"creditlimit": limit})
            await settle(stage, Progress(), 60)
        stage.org.update("Account", account, {"Name": "Alder & Co"})
        ledger = await settle(stage, Progress(), 60)
        assert ledger["balanced"]
        assert ledger["totals"]["parked"] == 3
        (task,) = stage.org.rows("Task").values()
        assert (task["WhatId"], task["Status"]) == (account, "Not Started")
        assert stage.environment.rows("account")[row_id]["name"] == "Alder"
        assert stage.org.rows("Account")[account].get("Credit_Limit__c") is None

        stage.environment.update("account", row_id, {"creditlimit": 5})
        await proven(stage, folder)
        ledger = await settle(stage, Progress(), 60)
        (task,) = stage.org.rows("Task").values()
        assert task["Status"] == "Completed"
        assert stage.environment.rows("account")[row_id]["name"] == "Alder & Co"
        assert stage.org.rows("Account")[account]["Credit_Limit__c"] == 5
        assert ledger["totals"]["parked"] == 0
        assert ledger["subjects"]["steward/task"]["applied"] == 2
        asked = await reviews(stage.bootstrap, stage.namespace)
        assert [one.closed for one in asked] == [False, False, True]
        assert {one.kind for one in asked} == {"rejected"}


def by_dynamics(folder: Path) -> Path:
    """The entities that come with us, with tasks for their stewards in Dynamics."""
    folder.mkdir()
    shutil.copy(ENTITIES / "optional" / "dynamics" / "task.yaml", folder)
    for name in ("account", "contact"):
        told = (ENTITIES / f"{name}.yaml").read_text()
        (folder / f"{name}.yaml").write_text(told + REGARDING.format(name))
    return folder


async def test_a_task_in_dynamics_is_opened_and_closed_and_what_people_do_with_it_is_respected(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    folder = by_dynamics(tmp_path / "entities")
    more = {"ISTHMUS_ENTITIES_DIR": str(folder)}
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=43, more=more) as stage:
        environment = stage.environment
        theirs = environment.create("task", {"subject": "Call Ann"})

        def tasks() -> dict[str, Any]:
            return {native: row for native, row in environment.rows("task").items() if native != theirs}

        async def say(**values: Any) -> dict[str, Any]:
            environment.update("account", account, values)
            return await settle(stage, Progress(), 60)

        account = environment.create("account", {"name": "Alder", "creditlimit": -1})
        await settle(stage, Progress(), 60)
        ((native, opened),) = tasks().items()
        assert (opened["statecode"], opened["regardingobjectid"]) == (0, account)
        assert "credit_limit_not_negative" in opened["subject"]
        assert stage.org.rows("Account") == {}  # it is told nowhere yet

        environment.update("task", native, {"statecode": 1, "description": "I am on it"})
        await say(creditlimit=-2)
        assert (tasks()[native]["statecode"], len(tasks())) == (1, 1)
        await say(creditlimit=1)
        assert (tasks()[native]["statecode"], tasks()[native]["description"]) == (1, "I am on it")
        assert len(stage.org.rows("Account")) == 1
        await say(creditlimit=-3)
        assert (tasks()[native]["statecode"], len(tasks())) == (0, 1)

        environment.delete("task", native)
        await say(creditlimit=-4)
        await say(creditlimit=2)
        await say(creditlimit=-5)
        ledger = await say(creditlimit=3)
        assert tasks() == {}
        assert ledger["balanced"]
        assert ledger["totals"]["dead"] == 0
        assert "statuscode" in environment.rows("task")[theirs]
        assert await committed(stage.bootstrap, f"{stage.namespace}dead") == []
