"""The end of a record on its way to a system: what is written for it, and the guard against too many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from desk import Desk, items, letters, sent
from msgspec.structs import replace
from policies import by_policy
from test_deliver import START, Target
from test_letters import died, order, passed_on

from isthmus.agents import deliver, merge
from isthmus.agents.ends import Most
from isthmus.agents.letters import stage as letters_stage
from isthmus.codecs.linked import Action, Linked
from isthmus.config.errors import ConflictError, TransientError
from isthmus.config.mapping import Mappings, load_mappings
from isthmus.tables.deliveries import Patience
from isthmus.tables.golden import DesiredWrite
from isthmus.tables.stage import Batch

ACCOUNT = by_policy(load_mappings().entities["account"], {"from": ["salesforce"], "dynamics": "deactivate"})
WRITES = "writes.dynamics"
MOST = Most(records=3, seconds=60.0)


@pytest.fixture
def target() -> Target:
    return Target()


def desk_at(target: Target, now: list[float]) -> Desk:
    patience = Patience(1.0, 4.0, 3)
    stage = deliver.stage(target, Mappings([ACCOUNT]), patience, most=MOST, clock=lambda: now[0])  # type: ignore[arg-type]
    return Desk(stage)


@pytest.fixture
def desk(target: Target) -> Desk:
    return desk_at(target, [START])


def end(*names: str, action: Action = "delete", released: bool = False) -> Sequence[Batch]:
    wishes = [
        DesiredWrite("dynamics", name, "account", 1, f"g-{name}", {}, "5", "corr", action, released) for name in names
    ]
    return items("writes.dynamics", *wishes)


@pytest.mark.parametrize(
    ("action", "delete", "fields"),
    [
        ("delete", True, {}),
        ("deactivate", False, {"statecode": 1, "isthmus_id": "c-1"}),
        ("unlink", False, {"isthmus_id": None}),
        ("reactivate", False, {"statecode": 0, "isthmus_id": "c-1"}),
    ],
)
async def test_what_is_written_for_each_end(
    desk: Desk, target: Target, action: Action, delete: bool, fields: dict[str, Any]
) -> None:
    unit = await desk.work(*end("c-1", action=action))
    (write,) = target.written
    assert (write.record_id, write.if_version, write.delete, write.fields) == ("g-c-1", "5", delete, fields)
    (report,) = sent(unit, "merge")
    assert (report["outcome"], report["action"], report["native_id"]) == ("written", action, "g-c-1")


async def test_an_end_that_met_another_version_is_decided_anew(desk: Desk, target: Target) -> None:
    target.answers = [ConflictError("another version")]
    unit = await desk.work(*end("c-1"))
    assert [one["outcome"] for one in sent(unit, "merge")] == ["refused"]
    assert [one["record_id"] for one in sent(unit, "rereads.dynamics")] == ["g-c-1"]


async def test_of_too_many_at_once_none_is_ended(desk: Desk, target: Target) -> None:
    unit = await desk.work(*end("c-1", "c-2", "c-3", "c-4"))
    assert target.written == []
    assert {letter["code"] for letter in letters(unit)} == {"TOO_MANY_DELETES"}
    assert len(letters(unit)) == 4
    assert {one["outcome"] for one in sent(unit, "merge")} == {"held"}
    assert desk.counts["dynamics/account"] == {"delivery_held": 4, "delivery_dead": 4}


async def test_one_after_another_is_as_many(desk: Desk, target: Target) -> None:
    for name in ("c-1", "c-2", "c-3", "c-4"):
        await desk.work(*end(name))
    assert [write.external_id for write in target.written] == ["c-1", "c-2", "c-3"]


async def test_other_writes_go_on_meanwhile(desk: Desk, target: Target) -> None:
    await desk.work(*end("c-1", "c-2", "c-3", "c-4"), *end("c-5", action="reactivate"))
    assert [write.external_id for write in target.written] == ["c-5"]


async def test_after_the_time_more_may_end(target: Target) -> None:
    now = [START]
    desk = desk_at(target, now)
    await desk.work(*end("c-1", "c-2", "c-3"))
    now[0] += MOST.seconds
    await desk.work(*end("c-4"))
    assert len(target.written) == 4


async def test_what_a_person_released_is_done_however_many(desk: Desk, target: Target) -> None:
    await desk.work(*end("c-1", "c-2", "c-3", "c-4", "c-5", released=True))
    assert len(target.written) == 5
    await desk.work(*end("c-6"))
    assert len(target.written) == 6


async def test_a_repeat_of_one_that_was_let_pass_is_not_counted_again(desk: Desk, target: Target) -> None:
    target.answers = [TransientError("busy")] * 3
    await desk.work(*end("c-1", "c-2", "c-3"))
    unit = await desk.work(Batch("tick", [START + 4.0]))
    assert len(target.written) == 3
    assert letters(unit) == []


async def test_what_is_held_is_ended_once_a_person_replays_its_letters(target: Target) -> None:
    mappings = Mappings(
        [by_policy(load_mappings().entities["account"], {"from": ["salesforce"], "dynamics": "delete"})]
    )
    stage = deliver.stage(target, mappings, Patience(), most=Most(1, 60.0), clock=lambda: START)  # type: ignore[arg-type]
    merging, here, letters_ = Desk(merge.stage(mappings)), Desk(stage), Desk(letters_stage(mappings, {}))
    golden = [made(name) for name in ("c-1", "c-2")]
    for one in golden:
        await passed_on(await passed_on(await merging.work(*items("merge", one)), WRITES, here), "merge", merging)
    ended = [replace(one, operation="delete", fields={}, version="2", change_id=f"{one.change_id}d") for one in golden]
    held = await passed_on(await merging.work(Batch("merge", ended)), WRITES, here)
    await passed_on(held, "merge", merging)
    assert not any(write.delete for write in target.written)
    found = await died(letters_, held)
    assert [(letter.code, letter.state) for letter in found] == [("TOO_MANY_DELETES", "open")] * 2
    for letter in found:
        told = await passed_on(await order(letters_, letter, "replay"), "merge", merging)
        await passed_on(await passed_on(told, WRITES, here), "merge", merging)
    assert [write.external_id for write in target.written if write.delete] == ["c-1", "c-2"]
    assert here.counts["dynamics/account"]["delivery_dead"] + letters_.counts["dynamics/account"]["delivery_dead"] == 0


def made(canonical: str) -> Linked:
    native = f"001{canonical}"
    return Linked("salesforce", native, "account", canonical, "create", {"name": "x"}, (), "1", "", native, "tx")
