"""What a worker's end says to its supervisor."""

from __future__ import annotations

import subprocess
import sys

import pytest

from isthmus.node.worker import exit_code


@pytest.mark.parametrize(
    ("asked", "fault", "code"), [(True, None, 0), (True, OSError(), 1), (False, OSError(), 1), (False, None, 1)]
)
def test_only_a_worker_that_was_asked_to_end_ends_well(asked: bool, fault: BaseException | None, code: int) -> None:
    assert exit_code(asked, fault) == code


FAILS = """
import structlog
from isthmus.node.worker import configure_logs

configure_logs("info")
customer = "Ada " + "Lovelace"
try:
    raise ValueError("at work")
except ValueError:
    structlog.get_logger().exception("it failed", lane="merge-1")
"""


def test_a_traceback_in_the_log_shows_no_customers() -> None:
    told = subprocess.run([sys.executable, "-c", FAILS], capture_output=True, text=True, check=True).stdout
    assert "it failed" in told
    assert "ValueError: at work" in told
    assert "Ada Lovelace" not in told


ALLOWED = """
import resource, sys
from isthmus.node.worker import allow_open_files

resource.setrlimit(resource.RLIMIT_NOFILE, (256, int(sys.argv[1])))
allow_open_files()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize("hard", [300, 256])
def test_a_worker_may_open_as_many_files_as_the_host_lets_it(hard: int) -> None:
    words = [sys.executable, "-c", ALLOWED, str(hard)]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert told.split() == [str(hard), str(hard)]
