"""deliver: newest wish first, patience with what passes, a dead letter for what does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from desk import Desk, items, letters, sent
from msgspec.structs import replace

from isthmus.agents import deliver
from isthmus.config.errors import ConflictError, PermanentError, PlatformError, TransientError
from isthmus.config.mapping import load_mappings
from isthmus.systems.protocol import Write, Written
from isthmus.tables.deliveries import Patience
from isthmus.tables.golden import DesiredWrite
from isthmus.tables.stage import Batch

START, LATER = 1_000_000.0, 1_010_000.0
PATIENCE = Patience(1.0, 4.0, 3)


@dataclass
class Target:
    """A system of which only `write` is asked: a call's own error, else answers in order, then success."""

    name: str = "dynamics"
    answers: list[PlatformError] = field(default_factory=list)
    refuses: Callable[[Sequence[Write]], Exception | None] = lambda writes: None
    written: list[Write] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    async def write(self, writes: Sequence[Write]) -> list[Written | PlatformError]:
        self.calls.append(len(writes))
        if fault := self.refuses(writes):
            raise fault
        return [self.one(write) for write in writes]

    def one(self, write: Write) -> Written | PlatformError:
        if self.answers:
            return self.answers.pop(0)
        self.written.append(write)
        return Written(write.record_id or "g-new", "00000000000000000007", write.record_id is None)


@pytest.fixture
def target() -> Target:
    return Target()


@pytest.fixture
def desk(target: Target) -> Desk:
    return desk_of(target)


def desk_of(target: Target, patience: Patience = PATIENCE, hinted: bool = False) -> Desk:
    """A partition of deliver whose clock stands still between ticks."""
    stage = deliver.stage(target, load_mappings(), patience, hinted=hinted, clock=lambda: START)  # type: ignore[arg-type]
    return Desk(stage)


def wish(revision: int = 1, canonical: str = "c-1", native_id: str | None = "g1", name: str = "Alder") -> Any:
    known = DesiredWrite("dynamics", canonical, "account", revision, native_id, {"name": name}, "5", "corr")
    return items("writes.dynamics", known)


async def test_only_the_newest_wish_of_a_record_is_carried_out(desk: Desk, target: Target) -> None:
    unit = await desk.work(*wish(2, name="new"), *wish(1, name="old"), *wish(1, "c-2"))
    assert sorted(write.fields["name"] for write in target.written) == ["Alder", "new"]
    assert [(one["rev"], one["outcome"]) for one in sent(unit, "merge")] == [(2, "written"), (1, "written")]


async def test_a_known_record_is_updated_on_its_version_and_gets_the_canonical_id(desk: Desk, target: Target) -> None:
    await desk.work(*wish())
    (write,) = target.written
    assert (write.object, write.record_id, write.if_version) == ("account", "g1", "5")
    assert write.fields == {"name": "Alder", "isthmus_id": "c-1"}
    assert write.correlation == "corr"


async def test_what_fails_for_now_is_parked_and_carried_out_when_due(desk: Desk, target: Target) -> None:
    target.answers = [TransientError("busy")]
    unit = await desk.work(*wish())
    assert sent(unit, "merge") == []
    assert unit.due is not None
    assert desk.counts["dynamics/account"] == {"delivery_parked": 1, "delivery_retries": 1}
    unit = await desk.work(Batch("tick", [unit.due - 0.001]))
    assert target.written == []
    unit = await desk.work(Batch("tick", [LATER]))
    assert [one["outcome"] for one in sent(unit, "merge")] == ["written"]
    assert unit.due is None
    assert desk.counts["dynamics/account"]["delivery_parked"] == 0


async def test_a_newer_wish_takes_the_place_of_a_parked_one(desk: Desk, target: Target) -> None:
    target.answers = [TransientError("busy")]
    await desk.work(*wish(1, name="old"))
    await desk.work(*wish(2, name="new"))
    unit = await desk.work(Batch("tick", [LATER]))
    assert [write.fields["name"] for write in target.written] == ["new"]
    assert sent(unit, "merge") == []
    assert desk.counts["dynamics/account"]["delivery_parked"] == 0


async def test_an_older_wish_that_comes_late_takes_no_failed_attempt_back(desk: Desk, target: Target) -> None:
    target.answers = [TransientError("busy")] * 3
    await desk.work(*wish(2, name="new"))
    await desk.work(Batch("tick", [LATER]))
    unit = await desk.work(*wish(1, name="old"))
    (letter,) = letters(unit)
    assert (letter["context"]["attempts"], len(letter["context"]["tried"])) == (3, 2)
    assert desk.counts["dynamics/account"]["delivery_superseded"] == 1


async def test_a_platforms_own_word_is_the_least_wait(desk: Desk, target: Target) -> None:
    target.answers = [TransientError("throttled", retry_after=1000.0), TransientError("busy")]
    first, second = await desk.work(*wish()), await desk.work(*wish(canonical="c-2"))
    assert first.due is not None
    assert second.due is not None
    assert first.due - second.due > 900


async def test_patience_ends_in_a_dead_letter_that_merge_hears_of(desk: Desk, target: Target) -> None:
    target.answers = [TransientError("busy")] * 3
    units = [
        await desk.work(*wish()),
        await desk.work(Batch("tick", [LATER])),
        await desk.work(Batch("tick", [LATER + 9])),
    ]
    (letter,) = letters(units[-1])
    assert letter["context"]["attempts"] == 3
    assert letter["context"]["correlation"] == "corr"
    assert [one["outcome"] for one in sent(units[-1], "merge")] == ["refused"]
    assert desk.counts["dynamics/account"]["delivery_parked"] == 0
    assert desk.counts["dynamics/account"]["delivery_dead"] == 1


async def test_a_write_that_fails_for_too_long_is_a_dead_letter_however_few_its_attempts(target: Target) -> None:
    desk = desk_of(target, Patience(1.0, 4.0, 99, age=60.0))
    target.answers = [TransientError("busy", of_record=True)] * 3
    await desk.work(*wish())
    assert letters(await desk.work(Batch("tick", [START + 59.9]))) == []
    (letter,) = letters(await desk.work(Batch("tick", [START + 90.0])))
    assert [one["at"] for one in letter["context"]["tried"]] == [START, START + 59.9]


async def test_what_is_not_mapped_any_more_is_a_dead_letter_and_does_not_come_again(desk: Desk, target: Target) -> None:
    target.answers = [TransientError("busy")]
    await desk.work(*wish())
    desk.stage = deliver.stage(target, load_mappings().joining(["salesforce"]), Patience())  # type: ignore[arg-type]
    (letter,) = letters(await desk.work(Batch("tick", [LATER])))
    assert (letter["code"], letter["counted"]) == ("UNMAPPED", "dynamics/account")
    assert letters(await desk.work(Batch("tick", [LATER + 9]))) == []


async def test_what_fails_for_good_is_a_dead_letter_at_once(desk: Desk, target: Target) -> None:
    target.answers = [PermanentError("too long")]
    unit = await desk.work(*wish())
    assert len(letters(unit)) == 1
    assert [one["outcome"] for one in sent(unit, "merge")] == ["refused"]


async def test_another_version_than_expected_is_not_forced_but_read_again(desk: Desk, target: Target) -> None:
    target.answers = [ConflictError("412")]
    unit = await desk.work(*wish(3))
    (ask,) = sent(unit, "rereads.dynamics")
    assert (ask["record_id"], ask["nonce"]) == ("g1", "c-1/3")
    assert [one["outcome"] for one in sent(unit, "merge")] == ["refused"]
    assert letters(unit) == []


async def test_a_row_that_we_made_where_there_are_only_hints_is_read_at_once(target: Target) -> None:
    hinted = desk_of(target, hinted=True)
    unit = await hinted.work(*wish(1, native_id=None), *wish(1, "c-2"))
    (ask,) = sent(unit, "rereads.dynamics")
    assert (ask["record_id"], ask["version"], ask["holds"]) == ("g-new", "00000000000000000007", {"isthmus_id": "c-1"})


async def test_all_writes_of_a_unit_are_one_call_and_each_has_its_own_outcome(desk: Desk, target: Target) -> None:
    target.answers = [TransientError("locked"), PermanentError("too long"), ConflictError("412")]
    unit = await desk.work(*(one for number in range(60) for one in wish(1, f"c-{number:02}", f"g{number}")))
    assert target.calls == [60]
    assert len(target.written) == 57
    outcomes = {one["canonical"]: one["outcome"] for one in sent(unit, "merge")}
    assert "c-00" not in outcomes
    assert (outcomes["c-01"], outcomes["c-02"], outcomes["c-03"]) == ("refused", "refused", "written")
    assert [letter["context"]["canonical"] for letter in letters(unit)] == ["c-01"]
    assert desk.counts["dynamics/account"]["delivery_parked"] == 1


async def test_nothing_to_write_is_no_call(desk: Desk, target: Target) -> None:
    await desk.work(Batch("tick", [LATER]))
    assert target.calls == []


async def test_a_call_that_fails_as_a_whole_parks_all_of_it(desk: Desk, target: Target) -> None:
    target.refuses = lambda writes: TransientError("the platform does not answer")
    unit = await desk.work(*wish(1, "c-1"), *wish(1, "c-2"))
    assert sent(unit, "merge") == []
    assert desk.counts["dynamics/account"]["delivery_parked"] == 2


async def test_an_error_nobody_foresaw_costs_only_the_write_it_is_about(desk: Desk, target: Target) -> None:
    def unforeseen(writes: Sequence[Write]) -> Exception | None:
        return RuntimeError("oh") if any(write.fields["name"] == "bad" for write in writes) else None

    target.refuses = unforeseen
    unit = await desk.work(*wish(1, "c-1"), *wish(1, "c-2", name="bad"), *wish(1, "c-3"))
    assert [write.fields["isthmus_id"] for write in target.written] == ["c-1", "c-3"]
    (letter,) = letters(unit)
    assert letter["context"]["canonical"] == "c-2"


async def test_an_adapter_that_forgets_an_answer_is_not_believed(desk: Desk) -> None:
    class Forgetful(Target):
        async def write(self, writes: Sequence[Write]) -> list[Written | PlatformError]:
            return (await super().write(writes))[:1]

    forgetful = Forgetful()
    desk = desk_of(forgetful)
    unit = await desk.work(*wish(1, "c-1"), *wish(1, "c-2"))
    assert forgetful.calls == [2, 1, 1]
    assert [one["outcome"] for one in sent(unit, "merge")] == ["written", "written"]


async def test_a_write_that_goes_round_is_a_dead_letter_that_people_hear_of_and_no_call(
    desk: Desk, target: Target
) -> None:
    (batch,) = wish(4)
    unit = await desk.work(Batch(batch.topic, [replace(batch.elements[0], runaway=True)]), *wish(1, "c-2"))
    assert [write.fields["isthmus_id"] for write in target.written] == ["c-2"]
    (letter,) = letters(unit)
    assert (letter["code"], letter["topic"], letter["counted"]) == ("RUNAWAY", "writes.dynamics", "dynamics/account")
    assert [(one["rev"], one["outcome"]) for one in sent(unit, "merge")] == [(4, "refused"), (1, "written")]
    (told,) = [orjson.loads(record.value) for record in unit.records if record.topic == "audit"]
    assert (told["kind"], told["system"], told["context"]["canonical"]) == ("runaway", "dynamics", "c-1")
