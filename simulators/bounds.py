"""What a filter can only be true for: so a table is asked by an index, and not every row is looked at.

Promises: pure; a bound may leave in more than the filter does, never out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bound:
    """A column, by the filter's own name for it, has one of these texts, without regard to case."""

    column: str
    values: frozenset[str]


def equal(column: str, value: object) -> Bound | None:
    """The bound of an equation; only texts have one."""
    return Bound(column, frozenset({value.casefold()})) if isinstance(value, str) else None


def both(one: Bound | None, other: Bound | None) -> Bound | None:
    """The bound of `and`: the narrower one."""
    if one is None or other is None:
        return one or other
    return min(one, other, key=lambda bound: len(bound.values))


def either(one: Bound | None, other: Bound | None) -> Bound | None:
    """The bound of `or`: only where both are about one column."""
    if one is None or other is None or one.column != other.column:
        return None
    return Bound(one.column, one.values | other.values)
