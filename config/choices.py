"""Choices: a rule as it is followed, in plain words that a fold can look at quickly.

Promises: values; it stands apart from the rules that are read (config/rules.py), which are not compiled.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """Fields that are chosen together: those of a group, or one alone. `turns`: who may speak, strongest first; None
    is anyone. `group`: they come from one record. `rule`: the rule as people read it."""

    fields: tuple[str, ...]
    turns: tuple[str | None, ...]
    rule: str
    group: bool
