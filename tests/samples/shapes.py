"""What it takes to compare a recorded answer with one of a simulator: names and kinds, never values."""

from __future__ import annotations

from typing import Any

KINDS = ((bool, "truth"), ((int, float), "number"), (str, "text"), (type(None), "nothing"))


def lacking(recorded: Any, ours: Any, place: str = "$") -> list[str]:
    """What the recorded value has and ours has not, or has of another kind; null is of any kind. Lists are compared by
    their first elements."""
    if recorded is None or ours is None:
        return []
    if isinstance(recorded, dict) and isinstance(ours, dict):
        missing = [f"{place}.{name} is missing" for name in recorded if name not in ours]
        both = (name for name in recorded if name in ours)
        return missing + [fault for name in both for fault in lacking(recorded[name], ours[name], f"{place}.{name}")]
    if isinstance(recorded, list) and isinstance(ours, list):
        return lacking(recorded[0], ours[0], f"{place}[0]") if recorded and ours else []
    return [] if kind(recorded) == kind(ours) else [f"{place} is {kind(ours)} and not {kind(recorded)}"]


def kind(value: Any) -> str:
    """What JSON calls it."""
    return next((name for types, name in KINDS if isinstance(value, types)), type(value).__name__)
