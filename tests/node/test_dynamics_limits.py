"""What Dynamics' own limits make of the whole node: a real Kafka, both simulators, a worker as people run it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from isthmus.codecs.dynamics_batch import BatchRequest, decode_requests
from isthmus.node.demo import verdict
from isthmus.node.theatre import Progress, Theatre, settle, theatre
from isthmus.simulators.dynamics import server
from isthmus.simulators.dynamics.calls import Call, Reply
from isthmus.simulators.dynamics.limits import AT_ONCE, NUMBER, TIME

WAIT = 2.0


@dataclass(frozen=True)
class Seen:
    """A write at the simulator's door: when it was answered, and how."""

    at: float
    call: Call
    status: int


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[Seen]:
    """What came in to be written; everything is done as ever."""
    seen: list[Seen] = []
    carry_out = server._Edge._within_limits

    async def watched(self: Any, call: Call) -> Reply:
        reply = await carry_out(self, call)
        if call.method != "GET":
            seen.append(Seen(time.monotonic(), call, reply.status))
        return reply

    monkeypatch.setattr(server._Edge, "_within_limits", watched)
    return seen


def accounts(stage: Theatre) -> set[Any]:
    return {row["name"] for row in stage.environment.rows("account").values()}


async def until(condition: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(what) from None


def parts(call: Call) -> list[BatchRequest]:
    """The writes of a batch, each of which has to stand in a changeset."""
    found = decode_requests(call.headers["content-type"], call.body)
    assert all(isinstance(one, tuple) for one in found)
    return [one for some in found if isinstance(some, tuple) for one in some]


async def test_each_limit_is_kept_for_as_long_as_it_says_and_nothing_is_lost_or_written_twice(
    kafka: str, namespace: str, tmp_path: Path, writes: list[Seen]
) -> None:
    """By number, by combined time, at once; then many at a time where few are let in, and tokens that ended meanwhile."""
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=41) as stage:
        for code in (NUMBER, TIME, AT_ONCE):
            writes.clear()
            stage.environment.fail_next(1, 429, code, WAIT)
            stage.org.create("Account", {"Name": code})
            await until(lambda code=code: code in accounts(stage), f"{code} came")  # type: ignore[misc]
            refused, written = writes[:2]
            assert (refused.status, written.status) == (429, 201)
            assert written.at - refused.at >= WAIT - 0.1, "nobody comes back sooner than was asked for"
        writes.clear()
        stage.environment.limits.at_once = 1
        stage.environment.expire_tokens()
        names = {f"account {number}" for number in range(30)}
        for name in names:
            stage.org.create("Account", {"Name": name})
        await until(lambda: names <= accounts(stage), "all of them came")
        stage.environment.limits.at_once = None
        proven = await verdict(stage, await settle(stage, Progress(), 60), 0.0)
        assert proven.problems == []
        assert len(stage.environment.rows("account")) == len(names) + 3


async def test_writes_of_one_moment_are_changesets_and_bear_the_id_of_their_change(
    kafka: str, namespace: str, tmp_path: Path, writes: list[Seen]
) -> None:
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=42) as stage:
        names = {f"account {number}" for number in range(40)}
        for name in names:
            stage.org.create("Account", {"Name": name})
        await until(lambda: names <= accounts(stage), "all of them came")
        await settle(stage, Progress(), 60)
    sent = [one for seen in writes if seen.call.path == "$batch" for one in parts(seen.call)]
    assert sent, "some of them went together"
    ids = {UUID(one.headers["x-ms-correlation-request-id"]) for one in sent}
    assert len(ids) > 1, "each has its own change's"
    assert all("tag=isthmus" in one.target for one in sent)
