"""Followed: a mapping as the fold follows it, in plain attributes that compiled code reads at once.

Promises: values, made once from a mapping that was read (config/mapping.py). That one is a pydantic model, which compiled
code asks for each attribute by its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from isthmus.config.choices import Choice
from isthmus.config.quality import QualityRule, Range

OnDelete = Literal["keep", "deactivate", "delete", "unlink"]


@dataclass(frozen=True)
class FollowedSystem:
    """What counts for a system: what becomes of a record there that was deleted elsewhere, whether it is listened to, the
    fields that it is told, and those that are told together."""

    on_delete: OnDelete
    listened: bool
    outward: frozenset[str]
    joint: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class FollowedRule:
    """A quality rule, with what is asked of it first. `always`: it counts everywhere. Of a range its `field` and its
    `limits`, each with the operator that has to hold and what a value is that breaks it."""

    rule: QualityRule
    name: str
    kind: str
    watched: frozenset[str]
    always: bool
    field: str
    limits: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Followed:
    """What counts for an entity; each attribute as config/mapping.py has it. `ends`: the systems whose deletes count."""

    systems: dict[str, FollowedSystem]
    ends: tuple[str, ...]
    conflict_seconds: float
    choices: dict[str, Choice]
    led: dict[str, dict[str, Choice]]
    heard: dict[str, dict[str, Choice]]
    existing: frozenset[str]
    quality: tuple[FollowedRule, ...]
    watched: frozenset[str]


def followed_rule(rule: QualityRule) -> FollowedRule:
    """A quality rule as it is followed."""
    field, limits = "", []
    if isinstance(rule, Range):
        field = rule.field
        told = ((rule.least, "at_least", "less"), (rule.most, "at_most", "more"))
        limits = [(limit, fits, words) for limit, fits, words in told if limit is not None]
    return FollowedRule(rule, rule.name, rule.kind, frozenset(rule.watched), rule.when is None, field, tuple(limits))
