"""What stands in a RemoteExecutionContext, in plain form: property bags, typed values, GUIDs and dates (dynamics.md
§1.4, §1.5).

Promises: pure; unknown types keep their shape; a text that is wholly a GUID or a `/Date()/` is taken for one, because
nothing on the wire tells them apart. DecodeError names the place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from isthmus.codecs.change import Value
from isthmus.codecs.exact import decimal_text, instant, value_of
from isthmus.config.errors import DecodeError

NOBODY = "00000000-0000-0000-0000-000000000000"
DATE = re.compile(r"/Date\((-?\d{1,18})(?:([+-])(\d\d)(\d\d))?\)/", re.ASCII)
GUID = re.compile(r"\{?([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\}?")


@dataclass(frozen=True, slots=True)
class Placed:
    """A part of the body, and where it stands."""

    found: Any
    place: str


Bag = Mapping[str, Placed]


def bag_of(found: Any, place: str) -> Bag:
    """A property bag, an array of `{"key", "value"}`, by key; absent is empty."""
    if found is None:
        return {}
    if not isinstance(found, list):
        raise DecodeError("is no array", place=place)
    bag: dict[str, Placed] = {}
    for number, pair in enumerate(found):
        if not isinstance(pair, Mapping) or not isinstance(pair.get("key"), str):
            raise DecodeError("is no pair of key and value", place=f"{place}[{number}]")
        bag[pair["key"]] = Placed(pair.get("value"), f"{place}[{number}].value")
    return bag


def attributes_of(record: Placed) -> dict[str, Value]:
    """An Entity's attributes in plain form; none for a reference."""
    bag = bag_of(record.found.get("Attributes"), f"{record.place}.Attributes")
    return {name: plain_of(held.found, held.place) for name, held in bag.items()}


def plain_of(found: Any, place: str) -> Value:
    """An attribute's value in plain form (dynamics.md §1.5)."""
    match found:
        case str():
            return date_of(found, place) or guid_of(found) or found
        case list():
            return [plain_of(one, f"{place}[{number}]") for number, one in enumerate(found)]
        case {"Attributes": _}:
            return attributes_of(Placed(found, place))
        case {"LogicalName": _}:
            return _reference(found, place)
        case {"Entities": entities}:
            return plain_of(entities or [], f"{place}.Entities")
        case {"Value": value}:
            return _wrapped(str(found.get("__type", "")).partition(":")[0], value, f"{place}.Value")
        case Mapping():
            return {str(name): plain_of(one, f"{place}.{name}") for name, one in found.items()}
    return value_of(found, place)


def _reference(found: Mapping[str, Any], place: str) -> Value:
    """A reference's id. One by alternate key has none: then its keys stand for it."""
    keys = bag_of(found.get("KeyAttributes"), f"{place}.KeyAttributes")
    if keys and guid_of(found.get("Id")) in (None, NOBODY):
        return {name: plain_of(held.found, held.place) for name, held in keys.items()}
    return needed_guid(Placed(found.get("Id"), f"{place}.Id"))


def _wrapped(kind: str, value: Any, place: str) -> Value:
    """OptionSetValue, Money, AliasedValue and their like: something in `Value`."""
    if value is None:
        return None
    if kind == "Money":
        return _amount(value, place)
    if kind == "OptionSetValue" and (isinstance(value, bool) or not isinstance(value, int)):
        raise DecodeError("is no whole number", place=place)
    return plain_of(value, place)


def _amount(value: Any, place: str) -> str:
    """Money as digits, as many as were sent."""
    try:
        amount = Decimal("NaN" if isinstance(value, bool) else str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        raise DecodeError("is no amount of money", place=place)
    return decimal_text(amount)


def date_of(found: Any, place: str) -> str | None:
    """`/Date(ms)/` as RFC 3339 in UTC; None for what is no such date.

    Where an offset is printed the platform has shifted the milliseconds: the true time is ms plus the offset, the
    opposite of what this form means elsewhere (dynamics.md §1.4).
    """
    date = DATE.fullmatch(found) if isinstance(found, str) else None
    if date is None:
        return None
    milliseconds, sign, hours, minutes = date.groups()
    shift = (int(hours) * 60 + int(minutes)) * 60_000 if sign else 0
    return instant(int(milliseconds) + (-shift if sign == "-" else shift), place)


def needed_guid(held: Placed) -> str:
    """A GUID that has to be there; DecodeError where it is none."""
    known = guid_of(held.found)
    if known is None:
        raise DecodeError(f"{held.found!r} is no GUID", place=held.place)
    return known


def guid_of(found: Any) -> str | None:
    """A GUID as we write it: lower case, no braces; None for what is none."""
    match = GUID.fullmatch(found) if isinstance(found, str) else None
    return match[1].lower() if match is not None else None
