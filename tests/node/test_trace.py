"""`isthmus trace`: whole histories, whichever id one has of a record, many at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typed import typed

from isthmus.codecs.dead import dead_letter
from isthmus.codecs.frames import encode
from isthmus.codecs.letters import Order
from isthmus.codecs.linked import Decide, Linked, Report
from isthmus.config.errors import PermanentError
from isthmus.node.steps import Seen, Step, steps
from isthmus.node.theatre import Progress, Theatre, settle, theatre
from isthmus.node.trail import Trail, waits
from isthmus.tables.deliveries import Parked
from isthmus.tables.golden import DesiredWrite

LINKED = Linked(
    "salesforce", "001a", "account", "c-1", "update", {"name": "Alder"}, ("phone",), "1", "", "sf:1", "tx-1"
)
WISH = DesiredWrite("dynamics", "c-1", "account", 3, "g1", {"name": "Alder"}, "5", "tx-1")


@pytest.fixture
async def stage(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Theatre]:
    """Simulators and a ready worker."""
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=8) as stage:
        yield stage


async def trace(stage: Theatre, *ids: str, code: int = 0, as_json: bool = True) -> Any:
    """`isthmus trace`; its JSON, or its words."""
    return await typed(stage.worker.settings, "trace", *ids, *(["--json"] if as_json else []), code=code)


def kinds(record: dict[str, Any]) -> list[str]:
    return [step["step"] for step in record["steps"]]


async def test_each_of_many_records_is_shown_from_its_change_to_the_write_with_times(stage: Theatre) -> None:
    accounts = [stage.org.create("Account", {"Name": f"Alder {number}", "Phone": "1"}) for number in range(30)]
    rows = [stage.environment.create("account", {"name": f"Birch {number}"}) for number in range(10)]
    await settle(stage, Progress(), 90)
    wanted = [f"salesforce:{one}" for one in accounts] + [f"dynamics:{one}" for one in rows]
    told = await trace(stage, *wanted)
    assert told["missing"] == []
    assert sorted(asked for record in told["records"] for asked in record["asked"]) == sorted(wanted)
    for record in told["records"]:
        there = iter(kinds(record))
        assert all(step in there for step in ("changed", "arrived", "merged", "wished", "written")), kinds(record)
        assert "event" in kinds(record)
        assert len(record["natives"]) == 2
        (written,) = [step for step in record["steps"] if step["step"] == "written"]
        assert 0 <= written["seconds"] < 60
        assert all(step["place"] for step in record["steps"] if step["step"] != "changed")


async def test_canonical_change_and_correlation_ids_lead_to_the_same_history(stage: Theatre) -> None:
    account = stage.org.create("Account", {"Name": "Alder"})
    other = stage.org.create("Account", {"Name": "Birch"})
    await settle(stage, Progress(), 60)
    (record,) = (await trace(stage, f"salesforce:{account}"))["records"]
    merged = next(step for step in record["steps"] if step["step"] == "merged")
    for one in (record["id"], merged["change_id"], merged["correlation"], *record["natives"]):
        (same,) = (await trace(stage, one))["records"]
        assert same["steps"] == record["steps"], one
    assert other not in str(record)
    words = await trace(stage, record["id"], "salesforce:nobody", "nothing", code=1, as_json=False)
    assert "no topic knows salesforce:nobody" in words
    assert "Alder" in words


async def test_what_died_before_anybody_knew_whose_it_was_is_found_and_so_is_a_dead_write(stage: Theatre) -> None:
    account = stage.org.create("Account", {"Name": "x" * 200})
    stage.environment.fail_next(2, 503, "0x80044150")
    async with aiohttp.ClientSession() as session, session.post(stage.webhook_url, data=b"{}") as response:
        assert response.status == 204
    await settle(stage, Progress(), 60)
    (record,) = (await trace(stage, f"salesforce:{account}"))["records"]
    there = kinds(record)
    assert {"wished", "parked", "dead", "refused"} <= set(there)
    letter = next(step for step in record["steps"] if step["step"] == "dead")
    assert "deliver" in letter["what"]


# -- what a record tells, purely


def seen(topic: str, value: Any, key: bytes | None = None, at: int = 1_700_000_000_000) -> Seen:
    raw = value if isinstance(value, bytes) else encode(value)
    return Seen(topic, 2, 7, at, key, raw, ())


def told(*records: Seen) -> list[Step]:
    return [step for record in records for step in steps(record, {})]


def test_a_parked_write_tells_its_attempt_and_the_tables_own_keys_tell_nothing() -> None:
    (step,) = told(
        seen("deliveries-dynamics-changelog", Parked(WISH, 2, 5.0, "busy"), b"c-1"),
        seen("deliveries-dynamics-changelog", 5.0, b"\xff\xffdue"),
        seen("deliveries-dynamics-changelog", b"{}", b"\xff\xffmarker"),
    )
    assert (step.step, step.canonical, step.what) == ("parked", "c-1", "r3 attempt 2: busy")
    assert step.place == "deliveries-dynamics-changelog/2/7"


def test_a_stewards_decision_tells_by_whom_and_why() -> None:
    pin = Decide("c-1", "account", "phone", "pin", "o-1", "ada", "2026-01-01T00:00:00Z", "2", "she called")
    undo = Decide("c-1", "account", "phone", "undo", "o-2", "bo", "2026-01-01T00:00:00Z")
    steps_ = told(seen("merge", [pin, undo]))
    assert [step.what for step in steps_] == ["pin phone='2' by ada: she called", "undo phone by bo"]
    assert {(step.step, step.canonical) for step in steps_} == {("decided", "c-1")}


def test_a_strangers_records_tell_nothing() -> None:
    assert told(*(seen(topic, b"garbage") for topic in ("merge", "dead", "events.account", "letters", "nothing"))) == []
    assert told(seen("merge", b'[{"kind": "nonsense"}]')) == []


def test_an_order_belongs_to_the_record_whose_letter_it_is_about() -> None:
    letter = dead_letter(
        PermanentError("no"), stage="deliver", original=encode(WISH), topic="writes.dynamics", canonical="c-1"
    )
    (dead,) = told(seen("dead", letter.value()))
    order = Order("o-1", dead.letter, "replay", "ada", "2026-01-01T00:00:00Z")
    other = Order("o-2", "0-0123456789abcdef", "replay", "ada", "2026-01-01T00:00:00Z")
    trail = Trail(["c-1"], {"c-1": {"c-1"}})
    trail.begin()
    for step in (dead, *told(seen("letters", [order, other]))):
        trail.keep(step)
    assert [step.step for step in trail.history("c-1")] == ["dead", "ordered"]


def test_the_wait_of_a_write_begins_with_the_change_that_led_to_it() -> None:
    report = Report("dynamics", "g1", "c-1", "account", 3, "written", "6", {"name": "Alder"})
    arrived = Step("2023-11-14T22:13:20.000Z", "arrived", "", "p", correlation="tx-1")
    rest = told(seen("writes.dynamics", [WISH], at=1_700_000_000_500), seen("merge", [report], at=1_700_000_002_000))
    assert waits([arrived, *rest]) == {"merge/2/7": 2.0}


def test_a_native_record_that_turns_out_to_be_a_golden_one_has_one_history() -> None:
    trail = Trail(["sf:1", "nothing"])
    (merged,) = told(seen("merge", [LINKED]))
    trail.look(Step("2023-11-14T22:13:20.000Z", "arrived", "", "p", native="salesforce:001a", change_id="sf:1"))
    assert trail.records() == ["salesforce:001a"]
    trail.learn(merged)
    assert (trail.records(), trail.natives(), trail.missing()) == (["c-1"], ["salesforce:001a"], ["nothing"])
    assert merged.what == "update name='Alder', no phone"
