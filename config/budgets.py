"""Budgets: how much of a platform's limits we may use, and what for (docs/delivery.md, "Budgets")."""

from __future__ import annotations

from pydantic import Field

from isthmus.config.transforms import Declared


class BudgetSettings(Declared):
    """Shares of a limit that the platform tells of in its answers; where one is used up, what needs it waits."""

    reserve: float = Field(
        default=0.05, ge=0, lt=1, description="The share of the limit that is left to others: we stop before it."
    )
    batch: float = Field(
        default=0.75,
        ge=0,
        le=1,
        description="Of the rest, the share up to which batch may go: first sync, full reads, sweeps, replays.",
    )
    batch_at_night: float = Field(default=0.95, ge=0, le=1, description="The same by night.")
    night_from: int = Field(default=20, ge=0, le=23, description="The hour, UTC, at which night begins")
    night_to: int = Field(default=5, ge=0, le=23, description="… and ends; the same hour: there is none.")


class ProtectionSettings(BudgetSettings):
    """Service protection limits one user on one server: what we leave there is of no use to others."""

    reserve: float = Field(
        default=0.0, ge=0, lt=1, description="The share of the limit that is left to others: we stop before it."
    )
