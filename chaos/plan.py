"""What a trial is asked to do, as a value."""

from __future__ import annotations

from dataclasses import dataclass

LETTING_IN_SECONDS = 1500.0
SLOWEST = {"feeds": 400.0, "simulators": 20.0}


def fitting_rate(changes: int, systems: str) -> float:
    """Changes a second, so that all have come after 25 minutes: faults and the proof need the rest of 75."""
    return max(SLOWEST[systems], changes / LETTING_IN_SECONDS)


@dataclass(frozen=True)
class Plan:
    """`faults`, where given, are made in that order instead of those that `kills` and the seed lead to."""

    changes: int
    kills: int
    seed: int
    workers: int = 2
    rate: float = 400.0
    systems: str = "feeds"
    kafka: str | None = None
    short: bool = False
    faults: tuple[str, ...] = ()
    patience: float = 120.0
