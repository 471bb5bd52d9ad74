"""Writes chosen by their number: one, several in a `$batch`, many in bulk; each gets its own answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from isthmus.config.errors import ConflictError, PermanentError, PlatformError, TransientError
from isthmus.config.mapping import SystemMapping, load_mappings
from isthmus.simulators.dynamics import DynamicsEnvironment, serve_dynamics
from isthmus.systems.dynamics.adapter import Dynamics, DynamicsConfig
from isthmus.systems.dynamics.bulk import targets
from isthmus.systems.dynamics.writes import BULK_AT_LEAST
from isthmus.systems.protocol import Reference, Write, Written

OBJECTS = load_mappings().objects("dynamics")
SAMPLE = Path(__file__).parents[3] / "shared" / "samples" / "dynamics" / "webapi-upsertmultiple-request.json"


@pytest.fixture
def environment() -> DynamicsEnvironment:
    return DynamicsEnvironment(seed=7)


@pytest.fixture
async def dynamics(environment: DynamicsEnvironment) -> AsyncIterator[Dynamics]:
    async with serve_dynamics(environment) as served:
        here = served.http_url
        config = DynamicsConfig(here, here, environment.tenant, environment.client_id, environment.client_secret)
        system = Dynamics(config, OBJECTS)
        await system.open()
        environment.limits.requests = 10**6  # so that requests are counted
        yield system
        await system.close()


def account(key: str, record_id: str | None = None, version: str | None = None, **fields: Any) -> Write:
    return Write("account", key, record_id, {"name": key, **fields}, version)


def requests(environment: DynamicsEnvironment) -> int:
    """How many requests came since the last time this was asked."""
    count = len(environment.limits._spent)
    environment.limits._spent.clear()
    return count


def codes(told: list[Written | PlatformError]) -> list[str]:
    return [one.code if isinstance(one, PlatformError) else "created" if one.created else "updated" for one in told]


def good(told: list[Written | PlatformError]) -> list[Written]:
    written = [one for one in told if isinstance(one, Written)]
    assert len(written) == len(told), told
    return written


# -- several


async def test_no_writes_are_no_requests(dynamics: Dynamics, environment: DynamicsEnvironment) -> None:
    assert await dynamics.write([]) == []
    assert requests(environment) == 0


async def test_several_are_one_request_and_each_has_its_answer(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    there, moved = (environment.create("account", {"name": name}) for name in ("a", "b"))
    (row,) = await dynamics.read("account", [moved])
    environment.update("account", moved, {"name": "B"})
    gone = "11111111-2222-4333-8444-555555555555"
    requests(environment)
    told = await dynamics.write(
        [
            account("k1"),
            account("k2", there),
            account("k3", moved, row.version),
            account("k4", telephone1="x" * 60),
            account("k5", gone),
            account("k6", there, "00000000000000000042.deleted"),
            Write("shoe", "k7", None, {}),
            account("ä'k8", telephone1="1"),
        ]
    )
    assert requests(environment) == 1
    assert codes(told) == [
        "created", "updated", "0x80060882", "0x80044331", "0x80040217", "CONFLICT", "UNMAPPED", "created"
    ]  # fmt: skip
    assert [type(one) for one in told[2:6]] == [ConflictError, PermanentError, ConflictError, ConflictError]
    (one, two, last) = good([told[0], told[1], told[7]])
    rows = {row.record_id: row for row in await dynamics.read("account", [one.record_id, two.record_id])}
    assert all(written.version == rows[written.record_id].version for written in (one, two))
    assert environment.row("account", last.record_id)["isthmus_id"] == "ä'k8"


async def test_a_race_in_a_batch_ends_as_an_update(dynamics: Dynamics, environment: DynamicsEnvironment) -> None:
    record_id = environment.create("account", {"name": "x", "isthmus_id": "k1"})
    environment.fail_next(1, 412, "0x80040237")
    told = good(await dynamics.write([account("k1"), account("k2")]))
    assert [one.record_id == record_id for one in told] == [True, False]
    assert environment.row("account", record_id)["name"] == "k1"


async def test_a_part_that_is_throttled_says_when_to_come_back(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    environment.fail_next(1, 429, "0x80072321", retry_after=9)
    one, two = await dynamics.write([account("k1"), account("k2")])
    assert isinstance(one, TransientError)
    assert (one.code, one.retry_after) == ("0x80072321", 9.0)
    assert isinstance(two, Written)


async def test_a_batch_whose_answer_was_lost_may_be_repeated(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    environment.lose_answers(1)
    writes = [account("k1"), account("k2")]
    assert codes(await dynamics.write(writes)) == ["NETWORK", "NETWORK"]
    assert codes(await dynamics.write(writes)) == ["updated", "updated"]
    assert len(environment.rows("account")) == 2


async def test_a_batch_that_is_refused_whole_is_everyones_error(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    environment.limits.requests = 0
    told = await dynamics.write([account("k1"), account("k2")])
    assert codes(told) == ["0x80072322"] * 2
    assert all(isinstance(one, TransientError) and one.retry_after for one in told)


async def test_what_is_referred_to_is_written_first(dynamics: Dynamics, environment: DynamicsEnvironment) -> None:
    contact = Write(
        "contact",
        "c1",
        None,
        {"lastname": "Ada"},
        references={"parentcustomerid_account": Reference("account", "it's a")},
    )
    child, parent = good(await dynamics.write([contact, account("it's a")]))
    assert environment.row("contact", child.record_id)["parentcustomerid"] == parent.record_id


# -- many


async def test_many_are_bulk_and_read_back(dynamics: Dynamics, environment: DynamicsEnvironment) -> None:
    environment.create("account", {"name": "x", "isthmus_id": "k7", "telephone1": "1"})
    requests(environment)
    writes = [account(f"k{n}", telephone1=None) for n in range(BULK_AT_LEAST)]
    told = good(await dynamics.write(writes))
    assert requests(environment) <= 3
    rows = environment.rows("account")
    assert len(rows) == BULK_AT_LEAST
    assert [rows[one.record_id]["name"] for one in told] == [write.external_id for write in writes]
    assert all(int(one.version or 0) == rows[one.record_id]["versionnumber"] for one in told)
    assert not any(row["telephone1"] for row in rows.values())
    updates = [account(f"k{n}", one.record_id, telephone1="2") for n, one in enumerate(told)]
    again = good(await dynamics.write(updates))
    assert [one.record_id for one in again] == [one.record_id for one in told]
    assert all(row["telephone1"] == "2" for row in environment.rows("account").values())


async def test_one_bad_row_in_a_bulk_costs_no_other(dynamics: Dynamics, environment: DynamicsEnvironment) -> None:
    writes = [account(f"k{n}", telephone1="x" * 60 if n == 17 else None) for n in range(BULK_AT_LEAST)]
    told = await dynamics.write(writes)
    assert [n for n, one in enumerate(told) if isinstance(one, PlatformError)] == [17]
    assert len(environment.rows("account")) == BULK_AT_LEAST - 1


async def test_a_bulk_update_never_creates(dynamics: Dynamics, environment: DynamicsEnvironment) -> None:
    made = [environment.create("account", {"name": f"{n}"}) for n in range(BULK_AT_LEAST)]
    environment.delete("account", made[3])
    told = await dynamics.write([account(f"k{n}", one) for n, one in enumerate(made)])
    assert [n for n, one in enumerate(told) if isinstance(one, ConflictError)] == [3]
    assert len(environment.rows("account")) == BULK_AT_LEAST - 1


async def test_a_bulk_that_is_throttled_is_not_tried_row_by_row(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    environment.fail_next(1, 429, "0x80072322", retry_after=8)
    requests(environment)
    told = await dynamics.write([account(f"k{n}") for n in range(BULK_AT_LEAST)])
    assert requests(environment) == 1
    assert {(one.code, one.retry_after) for one in told if isinstance(one, TransientError)} == {("0x80072322", 8.0)}


async def test_a_version_is_told_only_where_the_row_is_as_it_was_written(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    """Dataverse changes what it is given, as here an empty text, or a person is quicker than our reading back."""
    told = good(
        await dynamics.write([account(f"k{n}", telephone1="" if n == 5 else "1") for n in range(BULK_AT_LEAST)])
    )
    assert [n for n, one in enumerate(told) if one.version is None] == [5]


@pytest.mark.skipif(not SAMPLE.exists(), reason="the captured samples are not here")
def test_a_bulk_body_is_as_the_platform_documents_it() -> None:
    table = SystemMapping(
        object="sample_example",
        external_id="sample_keyattribute",
        collection="sample_examples",
        primary_key="sample_exampleid",
        fields={"name": "sample_name"},
    )
    wanted = json.loads(SAMPLE.read_text())
    writes = [
        Write("sample_example", f"000000{n + 1}", one.get("sample_exampleid"), {"sample_name": one["sample_name"]})
        for n, one in enumerate(wanted["Targets"])
    ]
    assert targets({"sample_example": table}, writes) == wanted


# -- merge


async def test_two_rows_become_one(dynamics: Dynamics, environment: DynamicsEnvironment) -> None:
    winner, loser = (environment.create("account", {"name": name}) for name in ("w", "l"))
    child = environment.create("contact", {"lastname": "Ada", "parentcustomerid": ("account", loser)})
    await dynamics.merge("account", winner, loser, {"telephone1": "1"})
    assert environment.row("account", winner)["telephone1"] == "1"
    lost = environment.row("account", loser)
    assert (lost["statecode"], lost["merged"], lost["masterid"]) == (1, True, winner)
    assert environment.row("contact", child)["parentcustomerid"] == winner
    with pytest.raises(PermanentError):
        await dynamics.merge("account", winner, winner, {})
    environment.delete("account", loser)
    with pytest.raises(ConflictError):
        await dynamics.merge("account", winner, loser, {})


async def test_a_merge_is_a_write_that_may_be_repeated(dynamics: Dynamics, environment: DynamicsEnvironment) -> None:
    winner, loser, other = (environment.create("account", {"name": name}) for name in ("w", "l", "o"))
    child = environment.create("contact", {"lastname": "Ada", "parentcustomerid": ("account", loser)})
    merge, plain = Write("account", "k", loser, {}, into=winner), Write("account", "o", other, {"name": "O"})
    for _ in range(2):
        told = await dynamics.write([merge, plain])
        assert [one.record_id for one in told if isinstance(one, Written)] == [loser, other]
    lost, kept = environment.row("account", loser), environment.row("account", winner)
    assert (lost["statecode"], lost["merged"], lost["masterid"], lost["name"]) == (1, True, winner, "l")
    assert (kept["statecode"], kept["name"]) == (0, "w")
    assert environment.row("contact", child)["parentcustomerid"] == winner
    environment.delete("account", loser)
    assert isinstance((await dynamics.write([merge]))[0], Written)
    (told,) = await dynamics.write([Write("account", "k", other, {}, into=loser)])  # which is gone
    assert isinstance(told, PermanentError)


# -- limits


async def test_each_limit_is_kept_as_the_platform_says(dynamics: Dynamics, environment: DynamicsEnvironment) -> None:
    """dynamics.md §3.5: by number, by combined time, at once."""
    start = datetime.now(UTC)
    environment.limits.now = lambda: start
    limits = environment.limits
    limits.requests = len(limits._spent) + 1
    assert codes(await dynamics.write([account("k1")])) == ["created"]
    (told,) = await dynamics.write([account("k2")])
    assert isinstance(told, TransientError)
    assert (told.code, told.retry_after) == ("0x80072322", 300.0)
    limits.now = lambda: start + timedelta(seconds=301)
    limits.requests, limits.seconds, limits.cost = None, 1.0, 0.6
    assert codes(await dynamics.write([account("k3"), account("k4")])) == ["created", "created"]
    await dynamics.write([account("k5")])
    (told,) = await dynamics.write([account("k6")])
    assert isinstance(told, TransientError)
    assert told.code == "0x80072321"


async def test_what_service_protection_leaves_is_known_from_each_answer(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    environment.limits.requests, environment.limits.seconds, environment.limits.cost = 100, 1200.0, 0.5
    environment.limits._spent.clear()
    await dynamics.write([account("k1")])
    made = len(environment.limits._spent)
    requests, execution = dynamics.limits
    assert (requests.used, requests.allowed, requests.window) == (made, 100, 300)
    assert (execution.used, execution.allowed) == (made * 0.5, 1200)
    environment.limits.requests = environment.limits.seconds = None
    await dynamics.write([account("k2")])
    assert dynamics.limits == (requests, execution)


async def test_two_refusals_in_a_row_stop_us_until_the_time_is_over(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    environment.fail_next(2, 429, "0x80072322", retry_after=40)
    await dynamics.write([account("k1")])
    await dynamics.write([account("k1")])
    requests(environment)
    (told,) = await dynamics.write([account("k1")])
    assert isinstance(told, TransientError)
    assert told.code == "THROTTLED"
    assert 30 < (told.retry_after or 0) <= 40
    assert requests(environment) == 0, "nobody is asked meanwhile"
