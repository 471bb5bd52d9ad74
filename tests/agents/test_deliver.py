"""deliver: newest wish first, patience with what passes, a dead letter for what does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from desk import Desk, items, letters, sent

from isthmus.agents import deliver
from isthmus.config.errors import ConflictError, PermanentError, PlatformError, TransientError
from isthmus.config.mapping import load_mappings
from isthmus.systems.protocol import Write, Written
from isthmus.systems.singly import singly
from isthmus.tables.deliveries import Patience
from isthmus.tables.golden import DesiredWrite
from isthmus.tables.stage import Batch

LATER = 4e9


@dataclass
class Target:
    """A system of which only `write` is asked: answers in order, then success."""

    name: str = "dynamics"
    answers: list[Exception] = field(default_factory=list)
    written: list[Write] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    async def write(self, writes: Sequence[Write]) -> list[Written | PlatformError]:
        self.calls.append(len(writes))
        return await singly(self._write, writes)

    async def _write(self, write: Write) -> Written:
        if self.answers:
            raise self.answers.pop(0)
        self.written.append(write)
        return Written(write.record_id or "g-new", "00000000000000000007", write.record_id is None)


@pytest.fixture
def target() -> Target:
    return Target()


@pytest.fixture
def desk(target: Target) -> Desk:
    return Desk(deliver.stage(target, load_mappings(), Patience(1.0, 4.0, 3)))  # type: ignore[arg-type]


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


async def test_a_platforms_own_word_is_the_least_wait(desk: Desk, target: Target) -> None:
    target.answers = [TransientError("throttled", retry_after=1000.0), TransientError("busy")]
    first, second = await desk.work(*wish()), await desk.work(*wish(canonical="c-2"))
    assert first.due is not None
    assert second.due is not None
    assert first.due - second.due > 900


async def test_patience_ends_in_a_dead_letter_that_merge_hears_of(desk: Desk, target: Target) -> None:
    target.answers = [TransientError("busy")] * 3
    units = [await desk.work(*wish()), await desk.work(Batch("tick", [LATER])), await desk.work(Batch("tick", [LATER]))]
    (letter,) = letters(units[-1])
    assert letter["context"]["attempts"] == 3
    assert letter["context"]["correlation"] == "corr"
    assert [one["outcome"] for one in sent(units[-1], "merge")] == ["refused"]
    assert desk.counts["dynamics/account"]["delivery_parked"] == 0
    assert desk.counts["dynamics/account"]["delivery_dead"] == 1


@pytest.mark.parametrize("fault", [PermanentError("too long"), RuntimeError("nobody foresaw it")])
async def test_what_fails_for_good_is_a_dead_letter_at_once(desk: Desk, target: Target, fault: Exception) -> None:
    target.answers = [fault]
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


async def test_the_records_of_a_unit_are_written_in_one_call(desk: Desk, target: Target) -> None:
    await desk.work(*(one for number in range(60) for one in wish(1, f"c-{number}")))
    assert target.calls == [60]
