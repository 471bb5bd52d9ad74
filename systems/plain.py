"""The plain form of values: what a change, a read and a golden record can compare without knowing the platform.

Promises: pure; the same value read in two ways has one form; what needs no change is not changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from isthmus.codecs.change import Value
from isthmus.codecs.exact import value_of

EXACT = 2**53
ZULU = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)[+-]00:?00")

T = TypeVar("T")


def plain(value: Any) -> Value:
    """A JSON value as `codecs` would tell it, but for two things: a whole float is an integer, because one API says `5`
    where another says `5.0`; and UTC is `Z`. DecodeError for what JSON cannot say, such as infinity."""
    told = value_of(value, "value")
    if isinstance(told, float) and told.is_integer() and abs(told) <= EXACT:
        return int(told)
    if isinstance(told, str) and (zulu := ZULU.fullmatch(told)):
        return f"{zulu[1]}Z"
    return told


def moment(told: Any) -> str | None:
    """A platform's time stamp in UTC as RFC 3339, with a fraction only where it has one; None for what is no time."""
    try:
        at = datetime.fromisoformat(str(told)).astimezone(UTC)
    except ValueError:
        return None
    precision = "milliseconds" if at.microsecond else "seconds"
    return at.isoformat(timespec=precision).replace("+00:00", "Z")


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Slices of at most `size`, in order."""
    return (items[start : start + size] for start in range(0, len(items), size))
