"""The short form of the kill matrix: each labelled step, a pause past the session, a wiped disk, a stranger's record."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.tables.stage import STEPS

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(400)
def test_nothing_is_lost_wrong_or_twice_wherever_a_worker_is_killed(kafka: str) -> None:
    command = (sys.executable, "-m", "chaos", "--short", "--json", "--changes", "2400", "--seed", "3", "--kafka", kafka)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=380)
    assert done.stdout, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0, told
    assert told["settled"]
    assert {name: told[name] for name in ("lost", "wrong", "duplicated", "unexplained")} == {
        "lost": 0,
        "wrong": 0,
        "duplicated": 0,
        "unexplained": 0,
    }, told["findings"]
    assert {f"kill_at_{step}" for step in STEPS} <= set(told["faults"]) | set(told["skipped"])
    assert {"pause", "wiped_data", "corrupt_record"} <= set(told["faults"])
