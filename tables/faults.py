"""Faults: which quality rules a golden record breaks, and why, in words.

Promises: a pure look at the golden values; a value that cannot be compared breaks its rule and raises nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from isthmus.codecs.change import Value
from isthmus.codecs.transforms import way
from isthmus.config import transforms
from isthmus.config.followed import FollowedRule
from isthmus.config.mapping import EntityMapping
from isthmus.config.quality import CrossField, Exists, Format, OneOf, QualityRule, Range
from isthmus.tables.dangling import dangling
from isthmus.tables.golden import Golden
from isthmus.tables.precedence import same
from isthmus.tables.rejection import ASKED
from isthmus.tables.showing import value_at

SHOWN = 80
OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "equal": lambda one, other: bool(one == other),
    "not_equal": lambda one, other: bool(one != other),
    "less": lambda one, other: bool(one < other),
    "at_most": lambda one, other: bool(one <= other),
    "greater": lambda one, other: bool(one > other),
    "at_least": lambda one, other: bool(one >= other),
}


def breaks(golden: Golden, mapping: EntityMapping, names: AbstractSet[str] | None) -> dict[str, str]:
    """The broken rules and why: of those that look at one of these fields or were broken (None: of all)."""
    known = golden.rejection.broken if golden.rejection is not None else {}
    found: dict[str, str] = {}
    for one in mapping.followed.quality:
        if names is None or not names.isdisjoint(one.watched) or (known and one.name in known):
            fault = _fault(golden, one, mapping) if one.always or _counts(golden, one.rule) else ""
            if fault:
                found[one.name] = (one.rule.message if fault != ASKED else "") or fault
    return found


def _value(golden: Golden, name: str) -> Value:
    value = value_at(golden.registers, name)
    return None if value == "" else value


def _counts(golden: Golden, rule: QualityRule) -> bool:
    if rule.when is None:
        return True
    held = _value(golden, rule.when.field)
    return held is not None and (not rule.when.values or any(same(held, one) for one in rule.when.values))


def _fault(golden: Golden, one: FollowedRule, mapping: EntityMapping) -> str:
    """What is wrong, in words; empty where nothing is."""
    if one.limits:
        value = _value(golden, one.field)
        return "" if value is None else _worded(one.field, value, _ranged(one, value))
    # By its kind: whether a pydantic model is of a class takes ten times as long to find out.
    rule = one.rule
    if rule.kind == "reference":
        return _missing(golden, rule, mapping)
    if rule.kind == "required":
        missing = [name for name in rule.fields if _value(golden, name) is None]
        return f"{', '.join(missing)} must have a value" if missing else ""
    if rule.kind == "cross_field":
        return _crossed(rule, _value(golden, rule.field), _value(golden, rule.other))
    value = _value(golden, rule.field)
    return "" if value is None else _worded(rule.field, value, _of_one(rule, value))


def _worded(field: str, value: Value, fault: str) -> str:
    return f"{field} {_shown(value)} {fault}" if fault else ""


def _missing(golden: Golden, rule: Exists, mapping: EntityMapping) -> str:
    """What is wrong where a reference points at nothing that is known."""
    found = dangling(golden, mapping.followed, rule.field)
    if found is None:
        return ""
    if found.known is None:
        return ASKED
    to = mapping.references.get(rule.field)
    return f"{rule.field} {_shown(found.target)} of {found.system} is no {to} that is known"


def _of_one(rule: Format | Range | OneOf, value: Value) -> str:
    if rule.kind == "format":
        return "" if _written(rule, value) else f"is not of the form {rule.form or rule.pattern}"
    if rule.kind == "one_of":
        return "" if any(same(value, one) for one in rule.values) else f"is none of {list(rule.values)}"
    return ""  # of a range its limits are looked at


def _ranged(rule: FollowedRule, value: Value) -> str:
    measure = _measure(value)
    for limit, fits, words in rule.limits:
        other = _measured(limit)
        if measure is None or other is None or isinstance(measure, datetime) is not isinstance(other, datetime):
            return f"cannot be compared with {limit}"
        if not OPERATORS[fits](measure, other):
            return f"is {words} than {limit}"
    return ""


def _crossed(rule: CrossField, one: Value, other: Value) -> str:
    if rule.operator == "together":
        return "" if (one is None) == (other is None) else f"{rule.field} and {rule.other} go together"
    if one is None or other is None:
        return ""
    told = f"{rule.field} {_shown(one)} must be {rule.operator.replace('_', ' ')} to {rule.other} {_shown(other)}"
    left, right = _measure(one), _measure(other)
    if left is None or right is None or isinstance(left, datetime) is not isinstance(right, datetime):
        if rule.operator not in ("equal", "not_equal"):
            return f"{told}, and they cannot be compared"
        return "" if same(one, other) == (rule.operator == "equal") else told
    return "" if OPERATORS[rule.operator](left, right) else told


def _shown(value: Value) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _measure(value: Any) -> int | Decimal | datetime | None:
    """A number, or a moment (a day is its midnight, UTC); None for what is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    try:
        number = Decimal(str(value))
        return number if number.is_finite() else None
    except InvalidOperation:
        return _moment(value)


# A limit is asked for with every value.
_measured = lru_cache(maxsize=256, typed=True)(_measure)


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _written(rule: Format, value: Value) -> bool:
    text = str(value)
    if rule.pattern is not None:
        return re.fullmatch(rule.pattern, text) is not None
    try:
        return _form(rule.form or "")(text, None) is not None
    except (ValueError, OverflowError):
        return False


@lru_cache(maxsize=8)
def _form(form: str) -> Callable[[Any, str | None], Value]:
    """The way in of the transform of that name, which refuses what it cannot understand."""
    specs = {"email": transforms.Email(), "phone": transforms.Phone(), "country": transforms.Country()}
    return way(specs[form], "", {}).inward
