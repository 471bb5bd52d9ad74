"""Transforms: a field's value in one system into the canonical one, and back (declared in config/transforms.py).

Promises: pure; null stays null, and the way in makes null of a text that says nothing; what comes out of the way in goes
through both ways unchanged; a value of which nothing can be made is a ValueError that says why, and never becomes another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from isthmus.codecs.change import Value
from isthmus.codecs.exact import decimal_text
from isthmus.config import transforms as declared
from isthmus.config.transforms import Declared

# What browsers take for an e-mail address (HTML Standard, "valid e-mail address"), and a dot in the domain.
LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
EMAIL = re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{LABEL}(?:\.{LABEL})+")
LONGEST_EMAIL = 254
# Digits before and after the point: beyond it Python's decimals would round.
LONGEST_AMOUNT = 28


def never(value: Any) -> bool:
    """No value of this field needs the record's country."""
    return False


def nowhere(value: Any) -> str | None:
    """A value of this field tells no country."""
    return None


@dataclass(frozen=True, slots=True)
class Way:
    """Both ways of a field. Each step gets a value that is not null; the way in also the record's country (ISO alpha-2),
    which stands in the canonical field `country`. `needs`: does a native value mean nothing without that country?
    `home`: the country that a canonical value tells itself."""

    inward: Callable[[Any, str | None], Value]
    outward: Callable[[Any], Value]
    country: str | None = None
    needs: Callable[[Any], bool] = never
    home: Callable[[Any], str | None] = nowhere


def way(spec: Declared, system: str, values: Mapping[str, Mapping[str, str | int]]) -> Way:
    """The two ways of a declared transform; `values` is the field's table for a picklist. Not for parts of names."""
    # Here, not above: what they know of the world takes a while to load, and few mappings need all of it.
    from isthmus.codecs import places, times

    match spec:
        case declared.Trim():
            return Way(lambda value, _: text(value), text)
        case declared.Email():
            return Way(_email, text)
        case declared.Money():
            return _money(spec)
        case declared.Picklist():
            return _picklist(spec, system, values)
        case declared.Date():
            return times.days(spec)
        case declared.Datetime():
            return times.moments(spec)
        case declared.Phone() | declared.Country() | declared.State() | declared.Currency():
            return places.way(spec)
    raise TypeError(f"no way for {spec!r}")


def text(value: Any) -> str | None:
    """A text without blanks around it, None where nothing is left; ValueError for what is no text."""
    if not isinstance(value, str):
        raise ValueError("is no text")
    return value.strip() or None


def _email(value: Any, _: str | None) -> Value:
    told = text(value)
    if told is None:
        return None
    if len(told) > LONGEST_EMAIL or not EMAIL.fullmatch(told.lower()):
        raise ValueError("is no e-mail address")
    return told.lower()


# -- amounts


def _money(spec: declared.Money) -> Way:
    def inward(value: Any, _: str | None) -> Value:
        told = value.strip() if isinstance(value, str) else value
        return None if told == "" else _plain(_amount(told))

    def outward(value: Any) -> Value:
        amount = _amount(value)
        if spec.digits is not None and amount != round(amount, spec.digits):
            raise ValueError(f"has more than {spec.digits} digits after the point")
        return _plain(amount) if spec.form == "text" else _number(amount)

    return Way(inward, outward)


def _amount(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("is no amount")
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise ValueError("is no amount") from None
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or max(amount.adjusted() + 1, 0) + max(-exponent, 0) > LONGEST_AMOUNT:
        raise ValueError("is no amount")
    return amount


def _plain(amount: Decimal) -> str:
    told = decimal_text(amount)
    told = told.rstrip("0").rstrip(".") if "." in told else told
    return "0" if told in ("-0", "") else told


def _number(amount: Decimal) -> Value:
    if amount == amount.to_integral_value():
        return int(amount)
    near = float(amount)
    if Decimal(repr(near)) != amount:
        raise ValueError("is no number that JSON holds exactly")
    return near


# -- choices


def _picklist(spec: declared.Picklist, system: str, values: Mapping[str, Mapping[str, str | int]]) -> Way:
    natives = {canonical: told[system] for canonical, told in values.items() if system in told}
    known = {str(native): canonical for canonical, native in natives.items()} | spec.aliases

    def inward(value: Any, _: str | None) -> Value:
        if value == "":
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, str | int) or str(value) not in known:
            raise ValueError("is not in the field's table of values")
        return known[str(value)]

    def outward(value: Any) -> Value:
        if value not in natives:
            raise ValueError("has no counterpart in the field's table of values")
        return natives[value]

    return Way(inward, outward)
