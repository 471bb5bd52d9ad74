"""Metrics of what platforms count themselves."""

from __future__ import annotations

from typing import Any

from isthmus.node.metrics import budgets
from isthmus.systems.salesforce.session import Usage


class Platform:
    """A platform that tells how many calls were made, or does not."""

    def __init__(self, name: str, usage: Usage | None) -> None:
        self.name, self.usage = name, usage


def test_the_calls_that_a_platform_tells_of_are_shown_and_nothing_is_made_up() -> None:
    platforms: Any = [Platform("salesforce", Usage(900, 1000)), Platform("other", None)]
    told = {one.name: [(s.labels["system"], s.value) for s in one.samples] for one in budgets(platforms)}
    assert told == {"isthmus_calls_used": [("salesforce", 900)], "isthmus_calls_allowed": [("salesforce", 1000)]}
