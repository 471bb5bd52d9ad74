"""The unit of work that a stage makes of records that are no frames, without Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import orjson
import pytest

from isthmus.codecs.dead import dead_letter
from isthmus.node.topics import Topics
from isthmus.node.working import Working
from isthmus.tables.stage import Batch, Input, Stage
from isthmus.tables.unit import Unit


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
