"""The unit of work that a stage makes of records, without Kafka."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from isthmus.codecs.dead import dead_letter
from isthmus.codecs.frames import Elements
from isthmus.node.packing import RECORD_BYTES
from isthmus.node.topics import Topics
from isthmus.node.working import Working
from isthmus.tables.stage import Batch, Input, Stage
from isthmus.tables.store import Store, StoreError, shared_cache
from isthmus.tables.unit import Record, Table, Unit

SEEN: Table[int] = Table("seen", int)


def choke(unit: Unit, batches: Sequence[Batch]) -> None:
    """Can do nothing."""
    raise RuntimeError("no")


def bury(unit: Unit, raw: bytes, fault: Exception) -> None:
    """A dead letter."""
    unit.bury(dead_letter(fault, stage="choke", original=raw))


@pytest.mark.parametrize(("value", "original"), [(b"{}", "{}"), (b"", ""), (None, "")])
async def test_a_record_that_cannot_be_worked_on_is_a_dead_letter_whatever_it_holds(
    value: bytes | None, original: str
) -> None:
    stage = Stage("choke", (Input("hints", None),), (), choke, bury)
    working = Working("choke-0", stage, Topics("", 1), {}, 1000)
    message = SimpleNamespace(topic="hints", partition=0, offset=0, value=value, headers=[])
    unit, _ = await working.done([SimpleNamespace(message=message)], tick=False)
    assert [orjson.loads(record.value)["original"] for record in unit.records] == [original]


def look(unit: Unit, batches: Sequence[Batch]) -> None:
    """Reads its table."""
    for _ in (number for batch in batches for number in batch.elements):
        unit.get(SEEN, b"any")
        list(unit.views[SEEN.name].scan())


async def test_a_store_that_cannot_be_read_costs_no_element_but_ends_the_work(tmp_path: Path) -> None:
    stage = Stage("look", (Input("numbers", Elements(int)),), (SEEN,), look, bury)
    store = Store(tmp_path / "seen", shared_cache(1 << 20))
    working = Working("look-0", stage, Topics("", 1), {SEEN.name: store}, 1000)
    message = SimpleNamespace(topic="numbers", partition=0, offset=0, value=b"[1, 2]", headers=[])
    events = [SimpleNamespace(message=message)]
    assert (await working.done(events, tick=False))[0].records == []
    store.close()
    with pytest.raises(StoreError):
        await working.done(events, tick=False)


async def test_a_dead_letter_names_its_record_also_where_a_stage_writes_it_beside_an_element_that_stops_it() -> None:
    def write(unit: Unit, batches: Sequence[Batch]) -> None:
        for number in (number for batch in batches for number in batch.elements):
            if number < 0:
                raise RuntimeError("no")
            bury(unit, b"%d" % number, RuntimeError("refused"))

    stage = Stage("write", (Input("numbers", Elements(int)),), (), write, bury, at_once=True)
    working = Working("write-0", stage, Topics("", 1), {}, 1000)
    messages = [
        SimpleNamespace(topic="numbers", partition=0, offset=offset, value=orjson.dumps(numbers), headers=[])
        for offset, numbers in enumerate([[1], [2, -1]])
    ]
    unit, _ = await working.done([SimpleNamespace(message=message) for message in messages], tick=False)
    told = [orjson.loads(record.value) for record in unit.records]
    assert [(letter["original"], letter["context"].get("at")) for letter in told] == [
        ("1", "numbers/0/0"), ("2", "numbers/0/1"), ("-1", "numbers/0/1"),
    ]  # fmt: skip


@pytest.mark.parametrize(("numbers", "ticks", "most"), [([-1], False, 0.0), ([1, -1], False, 0.0), ([], True, 60.0)])
async def test_an_element_that_cannot_be_worked_on_does_not_put_what_waits_to_sleep(
    numbers: list[int], ticks: bool, most: float
) -> None:
    def wait(unit: Unit, batches: Sequence[Batch]) -> None:
        if any(batch.topic == "tick" or min(batch.elements) < 0 for batch in batches):
            raise RuntimeError("no")
        unit.due = time.time() + 3600.0

    stage = Stage("wait", (Input("numbers", Elements(int)),), (), wait, bury, ticks=True)
    working = Working("wait-0", stage, Topics("", 1), {}, 1000)
    message = SimpleNamespace(topic="numbers", partition=0, offset=0, value=orjson.dumps(numbers), headers=[])
    unit, _ = await working.done([SimpleNamespace(message=message)] if numbers else [], tick=ticks)
    assert len(unit.records) == 1
    assert unit.due is not None
    assert most - 5.0 < unit.due - time.time() <= most


BOOKS: Table[list[int]] = Table("books", list[int], as_bytes=True)


def note(unit: Unit, batches: Sequence[Batch]) -> None:
    """Notes numbers in its table; cannot do them where one is below zero."""
    for number in (number for batch in batches for number in batch.elements):
        held = unit.get(BOOKS, b"any") or []
        held.append(number)
        if number < 0:
            raise ValueError(number)
        unit.put(BOOKS, b"any", held)


async def test_what_is_kept_as_bytes_is_not_changed_by_work_that_came_to_nothing(tmp_path: Path) -> None:
    stage = Stage("note", (Input("numbers", Elements(int)),), (BOOKS,), note, bury)
    store = Store(tmp_path / "books", shared_cache(1 << 20))
    working = Working("note-0", stage, Topics("", 1), {BOOKS.name: store}, 1000)
    for offset, (told, noted) in enumerate([(b"[1]", b"[1]"), (b"[-1]", None), (b"[2]", b"[1,2]")]):
        message = SimpleNamespace(topic="numbers", partition=0, offset=0, value=told, headers=[])
        unit, parts = await working.done([SimpleNamespace(message=message)], tick=False)
        assert parts.puts.get(BOOKS.name, {}).get(b"any") == noted
        store.apply(parts.puts.get(BOOKS.name, {}), offset)
        working.remember(unit, parts)
    store.close()


def hand_on(unit: Unit, batches: Sequence[Batch]) -> None:
    """Sends every number on."""
    for number in (number for batch in batches for number in batch.elements):
        unit.send("onward", b"%d" % number, number)


@pytest.mark.parametrize("frame_bytes", [300, 100_000])
async def test_what_is_sent_on_makes_the_same_frames_whether_it_was_encoded_while_the_unit_grew_or_at_its_end(
    frame_bytes: int,
) -> None:
    numbers = [orjson.dumps(list(range(at, at + 170))) for at in range(0, 1700, 170)]
    messages = [SimpleNamespace(topic="numbers", partition=0, offset=0, value=value, headers=[]) for value in numbers]
    made = []
    for at_once in (True, False):
        stage = Stage("hand", (Input("numbers", Elements(int)),), (), hand_on, bury, at_once=at_once)
        working = Working("hand-0", stage, Topics("", 2), {}, frame_bytes)
        _, parts = await working.done([SimpleNamespace(message=message) for message in messages], tick=False)
        made.append(parts.frames)
    assert made[0] == made[1]
    told = [number for frames in made[0].values() for frame in frames for number in orjson.loads(frame)]
    assert sorted(told) == list(range(1700))
    assert max(len(frame) for frames in made[0].values() for frame in frames) <= frame_bytes


def tell(unit: Unit, batches: Sequence[Batch]) -> None:
    """Tells people of each number; of a 2 more than any topic takes."""
    for number in (number for batch in batches for number in batch.elements):
        value = b"x" * (RECORD_BYTES + 1) if number == 2 else b"%d" % number
        unit.publish(Record("events", b"key", value, []))


async def test_a_record_for_people_that_is_too_large_is_a_dead_letter_and_the_others_are_told() -> None:
    stage = Stage("tell", (Input("numbers", Elements(int)),), (), tell, bury, at_once=True)
    working = Working("tell-0", stage, Topics("", 1), {}, 1000)
    message = SimpleNamespace(topic="numbers", partition=0, offset=0, value=b"[1, 2, 3]", headers=[])
    unit, _ = await working.done([SimpleNamespace(message=message)], tick=False)
    (letter,) = [orjson.loads(record.value) for record in unit.records if record.topic == "dead"]
    assert (letter["code"], letter["original"], bool(letter["hint"])) == ("OVERSIZED", "2", True)
    assert [record.value for record in unit.records if record.topic == "events"] == [b"1", b"3"]
