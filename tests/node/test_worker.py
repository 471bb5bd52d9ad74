"""What a worker's end says to its supervisor."""

from __future__ import annotations

import pytest

from isthmus.node.worker import exit_code


@pytest.mark.parametrize(
    ("asked", "fault", "code"), [(True, None, 0), (True, OSError(), 1), (False, OSError(), 1), (False, None, 1)]
)
def test_only_a_worker_that_was_asked_to_end_ends_well(asked: bool, fault: BaseException | None, code: int) -> None:
    assert exit_code(asked, fault) == code
