"""Matching as an operator declares it: by what records of two systems are recognised as one.

What is made of it is in tables/matching.py. Promises: scores and weights are within their limits.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from isthmus.config.transforms import Declared


class Matching(Declared):
    """By what records of two systems are recognised as one."""

    keys: tuple[tuple[str, ...], ...] = Field((), description="Sets of fields that, equal and present, link records.")
    fuzzy: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="Fields that only have to be alike, with their weights (`isthmus match`)."
    )
    sure: float = Field(
        default=0.75,
        ge=0,
        le=1,
        description="Records whose keys are equal are linked by `isthmus match` from this score on.",
    )
    maybe: float = Field(
        default=0.75, ge=0, le=1, description="From this score on a person is asked whether two are one."
    )
