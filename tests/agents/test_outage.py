"""A target that is away for hours, in time that is only told: one partition of four, with its table in RocksDB."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from pathlib import Path

from outage import LIMITS, START, Partition, Target

from isthmus.tables.stage import Batch


async def test_two_hours_of_outage_lose_and_reorder_nothing(tmp_path: Path) -> None:
    target, chance = Target(), random.Random(7)
    lane = Partition(tmp_path / "store", target)
    newest: dict[str, int] = {}

    async def seconds(number: int) -> None:
        for _ in range(number):
            some = [chance.randrange(5000) for _ in range(25)]  # of 100 changes a second, on four partitions
            await lane.second(some)
            newest.update({f"c-{record}": lane.revision - 24 + place for place, record in enumerate(some)})

    await seconds(60)
    target.away = True
    await seconds(3600)
    lane.store.close()  # a new owner, in the middle
    lane.open()
    calls, parked = target.calls, len(lane.parked())
    tracemalloc.start()
    await seconds(60)
    before = tracemalloc.get_traced_memory()[0]
    await seconds(60)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    await seconds(3480)
    assert parked == len(lane.parked()) == 5000 == lane.counts["delivery_parked"]
    assert lane.state() == "open"
    assert target.calls - calls <= 3600 / LIMITS.longest + 2  # probes alone
    assert grown < 500_000
    target.away, back, before_drain = False, target.now, len(target.writes)
    while lane.parked() or lane.state() != "closed":
        await seconds(1)
        assert target.now < back + 300, lane.counts
    assert lane.audit[0] == "open"
    assert lane.audit[-2:] == ["draining", "closed"]
    assert target.revisions == newest
    assert target.overtaken == 0
    assert lane.counts["delivery_dead"] == 0
    assert (
        lane.revision
        == lane.counts["delivery_written"] + lane.counts["delivery_superseded"] + lane.counts["delivery_dead"]
    )
    busiest = max(Counter(at for at, *_ in target.writes[before_drain:]).values())
    assert busiest <= 25 + LIMITS.rate * 2 + 3  # what is new, and the drain


async def test_a_restart_in_the_middle_of_the_drain_goes_on_with_it(tmp_path: Path) -> None:
    target = Target(away=True)
    lane = Partition(tmp_path / "store", target)
    for second in range(60):
        await lane.second(range(second * 20, second * 20 + 20))
    target.away = False
    while len(target.writes) < 300:
        await lane.second()
    assert lane.state() == "draining"
    lane.store.close()
    lane.open()
    first, through = target.now, len(target.writes)
    while lane.parked():
        await lane.second()
    assert len(target.revisions) == 1200
    assert (1200 - through) / LIMITS.rate - 2 <= target.now - first <= (1200 - through) / LIMITS.rate + 5
    assert lane.state() == "closed"


async def test_a_target_with_little_to_do_is_left_alone_too_and_its_one_write_does_not_die(tmp_path: Path) -> None:
    target = Target(away=True)
    lane = Partition(tmp_path / "store", target)
    await lane.second([1])
    for _ in range(7200):
        await lane.second()
    assert lane.state() == "open"
    assert [parked.attempts for parked in lane.parked()] == [5]
    target.away = False
    for _ in range(70):
        await lane.second()
    assert target.revisions == {"c-1": 1}


async def test_what_is_parked_is_not_looked_at_before_it_is_due(tmp_path: Path) -> None:
    target = Target(away=True)
    lane = Partition(tmp_path / "store", target)
    for _ in range(5):
        await lane.second([0])
    await lane.work([Batch("writes.dynamics", [lane.wish(record) for record in range(1, 2001)])])
    looked: list[bytes] = []
    scan = lane.store.scan

    def watched(prefix: bytes = b"", start: bytes = b"") -> object:
        for key, value in scan(prefix, start):
            looked.append(key)
            yield key, value

    lane.store.scan = watched  # type: ignore[method-assign,assignment]
    for _ in range(120):
        await lane.second([5])
    assert target.calls > 8
    assert len(looked) < 100


async def test_a_target_that_never_answers_is_left_alone_before_anything_dies_of_it(tmp_path: Path) -> None:
    """Each call takes two minutes to fail, so that the breaker's window holds but two of them."""
    target = Target(away=True, hangs=120.0)
    lane = Partition(tmp_path / "store", target)
    for number in range(100):
        await lane.second(range(number * 50, number * 50 + 50))
    assert lane.state() == "open"
    assert {parked.attempts for parked in lane.parked()} == {0, 1}  # what came later, and the one call that told of it
    assert all(parked.tried[-1].at >= START + 120 for parked in lane.parked() if parked.attempts)
