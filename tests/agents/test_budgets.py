"""A budget that is used up: batch waits in deliver's table, interactive goes on, and all is written once there is room."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from desk import Desk, items, letters, sent
from msgspec.structs import replace

from isthmus.agents import deliver, merge, reread
from isthmus.agents.allowance import Allowance
from isthmus.codecs.arrival import Reread
from isthmus.codecs.limits import DAY, Limit, Use
from isthmus.codecs.linked import Linked, Loaded, Tell
from isthmus.config.errors import PlatformError
from isthmus.config.mapping import load_mappings
from isthmus.systems.protocol import Row, Write, Written
from isthmus.tables.budgets import LONGEST, RECORDS_A_CALL, Budget
from isthmus.tables.deliveries import Parked, Patience
from isthmus.tables.golden import DesiredWrite
from isthmus.tables.stage import Batch
from isthmus.tables.unit import Unit

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()
BUDGET = Budget(reserve=0.1, batch=0.5, batch_at_night=0.5)


@dataclass
class Metered:
    """A target that tells of its daily limit with each answer."""

    name: str = "dynamics"
    used: int = 0
    now: float = NOON
    written: list[str] = field(default_factory=list)
    limits: tuple[Limit, ...] = ()

    def tell(self) -> None:
        self.limits = (Limit("daily", "calls", self.used, 100, DAY, self.now),)

    async def write(self, writes: Sequence[Write]) -> list[Written | PlatformError]:
        self.used += 1
        self.tell()
        self.written += [write.external_id for write in writes]
        return [Written(write.record_id or "g", "7", False) for write in writes]


def desk(target: Metered) -> Desk:
    allowance = Allowance(target, BUDGET)  # type: ignore[arg-type]
    stage = deliver.stage(target, load_mappings(), Patience(), clock=lambda: target.now, allowance=allowance)  # type: ignore[arg-type]
    return Desk(stage)


def wish(canonical: str, use: Use = "interactive", revision: int = 1) -> Any:
    known = DesiredWrite("dynamics", canonical, "account", revision, "g1", {"name": "A"}, "5", "corr", use=use)
    return items("writes.dynamics", known)


def told(unit: Unit) -> list[tuple[str, str]]:
    records = [orjson.loads(one.value) for one in unit.records if one.topic == "audit"]
    return [(one["context"]["use"], one["context"]["after"]) for one in records]


async def test_batch_waits_while_interactive_goes_on_and_is_written_when_there_is_room_again() -> None:
    target = Metered(used=60)
    target.tell()
    here = desk(target)
    unit = await here.work(*wish("b-1", "batch"), *wish("i-1"), *wish("b-2", "batch"))
    assert target.written == ["i-1"]
    assert here.counts["dynamics/account"]["delivery_parked"] == 2
    assert told(unit) == [("batch", "waits")]
    assert unit.due is not None
    target.used, target.now = 20, unit.due
    target.tell()
    unit = await here.work(Batch("tick", [target.now]))
    assert sorted(target.written) == ["b-1", "b-2", "i-1"]
    assert told(unit) == [("batch", "free")]
    assert here.counts["dynamics/account"] == {"delivery_parked": 0, "delivery_written": 3}


async def test_nobody_asks_before_the_budget_has_room_and_waiting_counts_as_no_attempt() -> None:
    target = Metered(used=60)
    target.tell()
    here = desk(target)
    due = (await here.work(*wish("b-1", "batch"))).due
    looks = 0
    while not target.written:
        assert due is not None
        looks, target.now = looks + 1, due
        due = (await here.work(Batch("tick", [target.now]))).due
    assert target.used == 61  # the answer that it was written with, and no other
    assert target.now == pytest.approx(NOON + DAY * (1 - 44 / 60), abs=1)
    assert looks <= DAY / 900
    assert "delivery_retries" not in here.counts["dynamics/account"]


async def test_of_many_that_wait_few_ask_again_at_once() -> None:
    target = Metered(used=60)
    target.tell()
    here = desk(target)
    unit = await here.work(*[one for number in range(500) for one in wish(f"b-{number}", "batch")])
    table = here.stage.tables[0]
    dues = sorted(
        one.due for _, raw in here.tables[table.name].scan(b"b-") if isinstance(one := table.decode(raw), Parked)
    )
    assert unit.due == dues[0] == NOON + LONGEST
    assert dues[-1] - dues[0] == pytest.approx(499 * min(1.0, DAY / (45 * RECORDS_A_CALL)), abs=RECORDS_A_CALL)
    assert max(Counter(dues).values()) == RECORDS_A_CALL, "what one call takes asks together"


async def test_while_a_budget_is_used_up_hundreds_who_wait_seldom_look() -> None:
    target, hour = Metered(used=99), 3600.0
    target.tell()
    here = desk(target)
    due = (await here.work(*[one for number in range(300) for one in wish(f"b-{number}", "batch")])).due
    looks = 0
    while due is not None and due < NOON + hour:
        looks, target.now = looks + 1, due
        due = (await here.work(Batch("tick", [target.now]))).due
    assert target.written == []
    assert looks <= hour / LONGEST * (300 / RECORDS_A_CALL + 1)


async def test_at_the_reserve_interactive_waits_too_and_a_newer_wish_takes_its_place() -> None:
    target = Metered(used=90)
    target.tell()
    here = desk(target)
    await here.work(*wish("i-1", revision=1))
    unit = await here.work(*wish("i-1", revision=2))
    assert target.written == []
    target.used, target.now = 10, (unit.due or 0.0) + 1.0
    target.tell()
    unit = await here.work(Batch("tick", [target.now]))
    assert [one["rev"] for one in sent(unit, "merge")] == [2]
    assert here.counts["dynamics/account"]["delivery_superseded"] == 1


async def test_what_waits_as_batch_is_let_in_once_somebody_waits_for_it() -> None:
    target = Metered(used=60)
    target.tell()
    here = desk(target)
    await here.work(*wish("c-1", "batch"))
    await here.work(*wish("c-1", "interactive", revision=2))
    assert target.written == ["c-1"]
    await here.work(*wish("c-2", "batch"))
    assert target.written == ["c-1"]


# -- reads


@dataclass
class Library(Metered):
    """The same of which reads are asked."""

    asked: list[list[str]] = field(default_factory=list)

    async def read(self, object: str, record_ids: Sequence[str]) -> list[Row]:
        self.used += 1
        self.tell()
        self.asked.append(list(record_ids))
        return [Row(one, True, {"name": one}, "1") for one in record_ids]


def reading(system: Library) -> Desk:
    allowance = Allowance(system, BUDGET)  # type: ignore[arg-type]
    stage = reread.stage(system, None, True, allowance=allowance, clock=lambda: system.now)  # type: ignore[arg-type]
    return Desk(stage)


def ask(record_id: str, use: Use = "interactive", **more: Any) -> Any:
    return items("rereads.dynamics", Reread("account", record_id, "c", use=use, **more))


async def test_reads_in_bulk_wait_in_line_hold_up_no_others_and_what_they_lead_to_is_batch() -> None:
    system = Library(used=60)
    system.tell()
    here = reading(system)
    unit = await here.work(*ask("b-1", "batch"), *ask("i-1"), *ask("b-2", "batch"))
    assert system.asked == [["i-1"]]
    assert "use" not in sent(unit, "changes.dynamics")[0]
    assert here.counts["dynamics/account"]["rereads_waiting"] == 2
    assert unit.due is not None
    unit = await here.work(*ask("b-3", "batch"))
    assert system.asked == [["i-1"]]
    system.used, system.now = 20, unit.due or 0.0
    system.tell()
    unit = await here.work(Batch("tick", [system.now]))
    assert system.asked == [["i-1"], ["b-1", "b-2", "b-3"]]
    assert [one["use"] for one in sent(unit, "changes.dynamics")] == ["batch"] * 3
    assert (unit.due, here.counts["dynamics/account"]["rereads_waiting"]) == (None, 0)


async def test_a_record_that_is_read_for_both_uses_at_once_is_read_for_those_who_wait_for_it() -> None:
    system = Library(used=0)
    unit = await reading(system).work(*ask("g1"), *ask("g1", "batch"), *ask("g2", "batch"))
    uses = {one["change"]["record_id"]: one.get("use", "interactive") for one in sent(unit, "changes.dynamics")}
    assert uses == {"g1": "interactive", "g2": "batch"}


async def test_the_end_of_a_full_read_waits_behind_what_that_met_and_near_the_edge_few_are_read() -> None:
    system = Library(used=44)  # batch has room for one call more
    system.tell()
    here = reading(system)
    met = [one for number in range(RECORDS_A_CALL) for one in ask(f"b-{number}", "batch")]
    unit = await here.work(*met, *met, *ask("", "batch", full=2, swept=True, way="0"))
    found = [letters(unit)]
    while unit.due is not None:
        system.now, system.used = unit.due, 44
        system.tell()
        unit = await here.work(Batch("tick", [system.now]))
        found.append(letters(unit))
    assert [len(one) for one in system.asked] == [RECORDS_A_CALL] * 2
    assert [[one["code"] for one in some] for some in found] == [[], [], ["TOO_MANY_GONE"]]
    assert list(here.tables["rows-dynamics"].scan(b"\xff\xffline/")) == []


async def test_a_read_at_the_reserve_waits_until_there_is_room() -> None:
    system = Library(used=90)
    system.limits = (Limit("requests", "calls", 90, 100, 10.0, time.time()),)
    allowance = Allowance(system, BUDGET)  # type: ignore[arg-type]
    here, began = Desk(reread.stage(system, None, True, allowance=allowance)), time.time()  # type: ignore[arg-type]
    await asyncio.wait_for(here.work(*ask("i-1")), 10.0)
    assert system.asked == [["i-1"]]
    assert time.time() - began > 10.0 * (1 - 89 / 90)


# -- whose budget a write is


def linked(use: Use) -> Linked:
    fields = {"name": "Alder"}
    return Linked(
        "salesforce", "001", "account", "c-1", "create", fields, (), "1", "2026-01-01T00:00:00Z", "x", "c", use=use
    )


def used(here: Desk, *some: Any) -> list[str]:
    unit = asyncio.run(here.work(Batch("merge", some)))
    return [one.get("use", "interactive") for one in sent(unit, "writes.dynamics")]


@pytest.mark.parametrize("use", ["interactive", "batch"])
def test_a_write_is_of_the_budget_of_the_change_that_led_to_it(use: Use) -> None:
    assert used(Desk(merge.stage(load_mappings())), linked(use)) == [use]


def test_what_was_matched_and_what_is_told_again_by_hand_is_batch() -> None:
    here = Desk(merge.stage(load_mappings()))
    assert used(here, Loaded("c-1", "account", (linked("interactive"),), "match")) == ["batch"]
    again = Tell("dynamics", "c-1", "account", "again")
    assert merge.use_of(again) == "batch"
    assert merge.use_of(replace(again, found=True)) == "interactive"
