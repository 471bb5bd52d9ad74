"""Metrics of what platforms count themselves."""

from __future__ import annotations

import time
from typing import Any

from isthmus.agents.allowance import Allowance
from isthmus.codecs.limits import DAY, Limit
from isthmus.node.delivering import Delivering
from isthmus.node.metrics import budgets
from isthmus.tables.budgets import Budget


class Platform:
    """A platform that tells how many calls were made, or does not."""

    def __init__(self, name: str, *limits: Limit) -> None:
        self.name, self.limits = name, limits


def test_the_calls_that_a_platform_tells_of_are_shown_and_nothing_is_made_up() -> None:
    now = time.time()
    platforms: list[Any] = [
        Platform("salesforce", Limit("daily", "calls", 800, 1000, DAY, now, pace=0.01)),
        Platform("other"),
    ]
    shares = Budget(reserve=0.1, batch=0.5, batch_at_night=0.5)
    shown = Delivering(None, None, {one.name: Allowance(one, shares) for one in platforms}).budgets()  # type: ignore[arg-type]
    told = {one.name: [(*s.labels.values(), round(s.value)) for s in one.samples] for one in budgets(shown)}
    assert told == {
        "isthmus_calls_used": [("salesforce", "daily", 800)],
        "isthmus_calls_allowed": [("salesforce", "daily", 1000)],
        "isthmus_budget_may": [("salesforce", "daily", "interactive", 900), ("salesforce", "daily", "batch", 450)],
        "isthmus_budget_waits": [("salesforce", "daily", "interactive", 0), ("salesforce", "daily", "batch", 1)],
        "isthmus_budget_runs_out_timestamp_seconds": [("salesforce", "daily", "interactive", round(now + 10_000))],
    }
