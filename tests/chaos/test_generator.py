"""The kill matrix's own ground: the same stream from any position, and one truth however the work is interleaved."""

from __future__ import annotations

from collections import Counter

import pytest

from chaos.generator import SYSTEMS, deliveries
from chaos.oracle import by_natives, truth

SEED, NUMBER = 11, 1200


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_stream_can_be_taken_up_anywhere_and_has_every_trouble_in_it(system: str) -> None:
    told = deliveries(system, SEED, NUMBER)
    assert told[700:] == deliveries(system, SEED, NUMBER)[700:]
    assert [one.position for one in told] == [str(number) for number in range(NUMBER)]
    changes = [change for one in told for change in one.changes]
    assert {change.operation for change in changes} == {"create", "update", "delete", "undelete"}
    assert max(Counter(change.change_id for change in changes).values()) > 1
    newest: dict[str, str] = {}
    late = 0
    for change in changes:
        late += str(change.version) < newest.get(change.record_id, "")
        newest[change.record_id] = max(newest.get(change.record_id, ""), str(change.version))
    assert late > NUMBER / 50
    assert any(change.cleared for change in changes) == (system == "dynamics")


async def test_the_truth_does_not_depend_on_how_the_work_is_cut_or_interleaved() -> None:
    found = by_natives((await truth(SEED, NUMBER)).golden)
    assert {len(natives) for natives in found} == {2}
    for chunk, order in ((1, SYSTEMS), (7, SYSTEMS[::-1]), (NUMBER, SYSTEMS), (NUMBER, SYSTEMS[::-1])):
        assert by_natives((await truth(SEED, NUMBER, chunk, order)).golden) == found
