"""What a trial is asked to do, as a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """`faults`, where given, are made in that order instead of those that `kills` and the seed lead to."""

    changes: int
    kills: int
    seed: int
    workers: int = 2
    rate: float = 400.0
    kafka: str | None = None
    short: bool = False
    faults: tuple[str, ...] = ()
    patience: float = 120.0
