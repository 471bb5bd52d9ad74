"""The drain's law: of whatever waits, however much of it is due at one moment, each is written once, and at the rate."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from outage import START, TABLE, Partition, Target

from isthmus.agents.deliver_parking import park
from isthmus.tables.breaker import PROBES, Breaker, Limits
from isthmus.tables.deliveries import GATE, Parked, gate
from isthmus.tables.unit import Unit

LIMITS = Limits(rate=2.0)
RECORDS = st.integers(0, 60)
# Most of it is due at the same moment.
MOMENTS = st.sampled_from([START - 60.0, START, START, START, START + 0.25, START + 7.0])
WAITING = st.dictionaries(RECORDS, MOMENTS, min_size=12, max_size=60)
TOLD = st.lists(st.lists(RECORDS, max_size=6, unique=True), max_size=15)


def filled(lane: Partition, waiting: Mapping[int, float]) -> dict[str, int]:
    """Let these records wait, until these moments, for a target of which a probe is asked; the revision of each."""
    unit, newest = Unit({TABLE.name: lane.store}), dict[str, int]()
    for record, due in waiting.items():
        wish = lane.wish(record)
        newest[wish.canonical] = wish.revision
        park(unit, TABLE, Parked(wish, 0, due, "away"))
    unit.put(TABLE, GATE, gate(Breaker("half_open", since=START)))
    lane.store.apply(unit.encoded().get(TABLE.name, {}), 0)
    return newest


async def drained(
    lane: Partition, newest: dict[str, int], told: Sequence[Sequence[int]], seconds: int
) -> dict[str, int]:
    """A second of each, then nothing but time; the newest revision of each record."""
    for records in [*told, *[()] * seconds]:
        await lane.second(records)
        first = lane.revision - len(records) + 1
        newest |= {f"c-{record}": first + place for place, record in enumerate(records)}
    return newest


@settings(max_examples=60)
@given(WAITING, TOLD)
async def test_each_that_waits_is_written_once_in_its_turn_and_no_faster_than_the_rate(
    waiting: Mapping[int, float], told: Sequence[Sequence[int]]
) -> None:
    """`waiting`: when each record is due; `told`: of which records something newer is told in each second."""
    target = Target()
    with tempfile.TemporaryDirectory() as folder:
        lane = Partition(Path(folder) / "store", target, LIMITS)
        newest = await drained(lane, filled(lane, waiting), told, 20 + len(waiting) // int(LIMITS.rate))
        assert (lane.parked(), lane.state()) == ([], "closed")
        lane.store.close()
    assert target.revisions == newest
    assert target.overtaken == 0
    assert len({(record, revision) for _, record, revision in target.writes}) == len(target.writes)
    assert lane.revision == lane.counts["delivery_written"] + lane.counts["delivery_superseded"]
    untold = [record for record in waiting if not any(record in some for some in told)]
    turns = {record: turn for turn, (_, record, _) in enumerate(target.writes)}
    assert [waiting[one] for one in sorted(untold, key=lambda one: turns[f"c-{one}"])] == sorted(
        waiting[one] for one in untold
    )
    later = sum(due > START for due in waiting.values())
    for number, (at, *_) in enumerate(target.writes, 1):
        second = int(at - START)
        news = sum(len(some) for some in told[:second])
        assert number <= PROBES + later + news + second * LIMITS.rate
