"""What a trial is made of, and what it says in the end."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from chaos.faults import KILLS
from chaos.matrix import FAULTS, Report, order, told
from chaos.plan import Plan, fitting_rate
from chaos.run import Run
from chaos.targets import TARGETS

SAID = ("faults", "kills", "changes", "lost", "wrong", "duplicated", "unexplained", "restart_seconds_median")


@pytest.mark.parametrize("systems", ["feeds", "simulators"])
def test_a_long_run_has_every_fault_that_its_systems_know(systems: str) -> None:
    names = order(Plan(changes=100_000, kills=40, seed=1, systems=systems), random.Random(1))
    kills = [name for name in names if name in KILLS]
    assert (len(kills), set(kills)) == (40, set(KILLS))
    known = {name for name in FAULTS if "@" not in name}
    assert known - set(names) == ({"slow_consumer"} if systems == "simulators" else set(TARGETS))


def test_a_million_changes_have_come_long_before_an_hour() -> None:
    assert 1_000_000 / fitting_rate(1_000_000, "feeds") <= 30 * 60
    assert 100_000 / fitting_rate(100_000, "simulators") <= 30 * 60


def test_the_last_line_has_what_was_promised(tmp_path: Path) -> None:
    run = Run(tmp_path, "nowhere:1", "t.", 1, 1, 1.0, random.Random(1), print)
    assert set(SAID) <= set(told(run, Plan(changes=2, kills=0, seed=1), Report()))
