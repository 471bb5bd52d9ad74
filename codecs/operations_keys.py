"""Record ids of Finance & Operations: an entity's composite key as one text and back (dynamics.md §5.3).

Promises: pure; one record has one text, `dataAreaId='usmf',SalesOrderNumber='SO-1'`: the key as OData writes it, its
columns in the order of the mapping, the company in lower case, numbers without needless digits. Blanks belong to a key.
A text that is a moment (`2026-01-31T12:00:00Z`) is written as a moment, because nothing tells the two apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from isthmus.config.errors import DecodeError

COMPANY = "dataAreaId"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", re.ASCII)
PAIR = re.compile(rf"(\w+)=(?:'((?:[^']|'')*)'|({MOMENT.pattern})|(-?[0-9]+(?:\.[0-9]+)?))(?:,(?=\w)|\Z)", re.DOTALL)

KeyValue = str | int | Decimal
Key = Mapping[str, KeyValue]


def record_id(key: Key, columns: Sequence[str]) -> str:
    """The text of a key; DecodeError where a column is missing or holds nothing that a key may hold."""
    return ",".join(f"{name}={literal(name, key.get(name))}" for name in columns)


def literal(name: str, value: object) -> str:
    """A value as OData writes it in a key or a filter."""
    match value:
        case str() if MOMENT.fullmatch(value):
            return value
        case str() if value:
            told = value.lower() if name.lower() == COMPANY.lower() else value
            return "'" + told.replace("'", "''") + "'"
        case bool():
            pass
        case int():
            return str(value)
        case Decimal() if value.is_finite():
            return _digits(value)
        case float() if value.is_integer():
            return str(int(value))
        case float():
            return _digits(Decimal(repr(value)))
    raise DecodeError("is no key", place=name)


def key_of(text: str) -> dict[str, KeyValue]:
    """The key behind a text, in its order; DecodeError where it is none."""
    key: dict[str, KeyValue] = {}
    at = 0
    while (pair := PAIR.match(text, at)) is not None:
        name, quoted, moment, digits = pair.groups()
        if name in key:
            raise DecodeError(f"names {name} twice", place="key")
        key[name] = quoted.replace("''", "'") if quoted is not None else moment or _number(digits)
        at = pair.end()
    if not key or at != len(text):
        raise DecodeError("is no key", place=text[:80])
    return key


def _digits(value: Decimal) -> str:
    text = format(value, "f")
    short = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if short in ("-0", "") else short


def _number(digits: str) -> KeyValue:
    value = Decimal(digits)
    return int(value) if value == value.to_integral_value() else value
