"""Countries, states, currencies and telephone numbers: one code for each, whatever a system calls it.

Promises: as codecs/transforms.py; names and codes are those of ISO 3166 and 4217 (pycountry), numbers those of ITU E.164
(phonenumbers, Google's libphonenumber).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import phonenumbers
import pycountry
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat

from isthmus.codecs.change import Value
from isthmus.codecs.transforms import Way, text
from isthmus.config.transforms import Country, Currency, Phone, State

# A number met again, as our own writes are, costs a look-up and not a parsing.
REMEMBERED = 16_384


def way(spec: Phone | Country | State | Currency) -> Way:
    """The two ways of a declared transform of this module."""
    match spec:
        case Phone():
            return _phone(spec)
        case Country():
            return _coded(pycountry.countries, "alpha_2", spec.form, spec.aliases, "country")
        case Currency():
            form = {"code": "alpha_3"}.get(spec.form, spec.form)
            return _coded(pycountry.currencies, "alpha_3", form, spec.aliases, "currency")
        case State():
            return _state(spec)


# -- what has a code


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


def _unlike(named: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Codes by name; a name that two have stands for neither, since nobody can tell which is meant."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for name, code in named:
        if found.setdefault(_folded(name), code) != code:
            twice.add(_folded(name))
    return {name: code for name, code in found.items() if name not in twice}


def _coded(found: Iterable[Any], code: str, form: str, aliases: Mapping[str, str], what: str) -> Way:
    """One list of pycountry: every name and code of an entry leads to its code, and back to the form in use."""
    entries = list(found)
    spelled = ("common_name", "official_name", "name", "numeric", "alpha_3", "alpha_2")
    known: dict[str, str] = {}
    for name in spelled:
        known |= _unlike((str(getattr(one, name)), getattr(one, code)) for one in entries if getattr(one, name, None))
    known |= {_folded(alias): value for alias, value in aliases.items()}
    written = {getattr(one, code): getattr(one, form) for one in entries if getattr(one, form, None)}

    def inward(value: Any, _: str | None) -> Value:
        told = text(f"{value:03d}" if isinstance(value, int) and not isinstance(value, bool) else value)
        if told is not None and _folded(told) not in known:
            raise ValueError(f"is no {what} that ISO knows; give it as an alias")
        return None if told is None else known[_folded(told)]

    def outward(value: Any) -> Value:
        if value not in written:
            raise ValueError(f"is no ISO code of a {what}")
        return str(written[value])

    return Way(inward, outward)


# -- states


def _state(spec: State) -> Way:
    aliases = {_folded(alias): value for alias, value in spec.aliases.items()}
    every = {one.code: one for one in pycountry.subdivisions}

    def inward(value: Any, country: str | None) -> Value:
        told = text(value)
        if told is None:
            return None
        if told.upper() in every:
            return told.upper()
        where = country or spec.region
        if where is None:
            raise ValueError("is a state of a country that nobody told")
        found = aliases.get(_folded(told)) or _states(where).get(_folded(told))
        if found is None:
            raise ValueError(f"is no state of {where} that ISO knows; give it as an alias")
        return found

    def outward(value: Any) -> Value:
        if value not in every:
            raise ValueError("is no ISO code of a state")
        told = {"iso": value, "code": value.partition("-")[2], "name": every[value].name}[spec.form]
        return str(told)

    def needs(value: Any) -> bool:
        return isinstance(value, str) and value.strip().upper() not in every

    return Way(inward, outward, spec.country, needs, lambda value: str(value).partition("-")[0])


@lru_cache(maxsize=300)
def _states(country: str) -> dict[str, str]:
    """Every name and own code of a country's states; a code goes before a name."""
    found = [one for one in pycountry.subdivisions if one.country_code == country]
    return _unlike((one.name, one.code) for one in found) | {
        _folded(one.code.partition("-")[2]): one.code for one in found
    }


# -- telephones


def _phone(spec: Phone) -> Way:
    def inward(value: Any, country: str | None) -> Value:
        told = text(value)
        return None if told is None else _number(told, country or spec.region)

    def outward(value: Any) -> Value:
        return _shown(value, spec.form)

    return Way(inward, outward, spec.country, lambda value: isinstance(value, str) and not _whole(value))


def _whole(value: str) -> bool:
    """Does it say its country itself?"""
    return value.strip()[:1] in ("+", "\N{FULLWIDTH PLUS SIGN}", "")


@lru_cache(maxsize=REMEMBERED)
def _number(told: str, region: str | None) -> str:
    found = _canonical(_parsed(told, region))
    if _canonical(_parsed(found, None)) != found:
        raise ValueError(f"is read as {found}, which is read as another number again")
    return found


def _parsed(told: str, region: str | None) -> PhoneNumber:
    try:
        found = phonenumbers.parse(told, region)
    except NumberParseException as fault:
        raise ValueError(f"is no telephone number: {fault}") from None
    # Possible, not valid: which numbers are given out changes faster than anybody's list of them.
    if not phonenumbers.is_possible_number(found):
        raise ValueError("is no telephone number: too short or too long")
    return found


def _canonical(found: PhoneNumber) -> str:
    """E.164, and the extension as RFC 3966 writes it, since E.164 has no place for it."""
    extension = f";ext={found.extension}" if found.extension else ""
    return phonenumbers.format_number(found, PhoneNumberFormat.E164) + extension


def _shown(value: Any, form: str) -> str:
    if not isinstance(value, str) or not value.startswith("+"):
        raise ValueError("is no telephone number with its country code")
    whole, _, extension = value.partition(";ext=")
    told = PhoneNumberFormat.E164 if form == "e164" else PhoneNumberFormat.INTERNATIONAL
    shown: str = phonenumbers.format_number(_parsed(whole, None), told)
    return f"{shown} ext. {extension}" if extension else shown
