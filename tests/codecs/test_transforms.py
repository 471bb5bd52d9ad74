"""Transforms: canonical to native to canonical is the same value; what comes in is canonical; the rest is refused."""

from __future__ import annotations

from datetime import date
from typing import Any

import phonenumbers
import pycountry
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codecs import names
from isthmus.codecs.transforms import Way, way
from isthmus.config.transforms import (
    KINDS,
    Country,
    Currency,
    Date,
    Datetime,
    Declared,
    Email,
    Money,
    NamePart,
    Phone,
    Picklist,
    State,
    Trim,
)

INDUSTRY = {"banking": {"sf": "Banking", "dyn": 1}, "tech": {"sf": "Technology", "dyn": 2}}
ZONES = st.sampled_from([None, "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu"])
COUNTRIES = sorted(one.alpha_2 for one in pycountry.countries)
# Elsewhere a few have two of one name, which is refused (below).
STATES = sorted(one.code for one in pycountry.subdivisions if one.country_code in ("US", "DE", "IN", "CH"))
WORDS = st.from_regex(r"[A-ZÄÖÜ][a-zäöüß'-]{0,12}", fullmatch=True)


def built(spec: Declared, system: str = "dyn") -> Way:
    return way(spec, system, INDUSTRY)


def number_of(country: str) -> str:
    example = phonenumbers.example_number(country)
    return "" if example is None else phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)


PHONES = [number for country in phonenumbers.SUPPORTED_REGIONS if (number := number_of(country))]
EXTENSIONS = st.one_of(st.just(""), st.integers(0, 99999).map(lambda number: f";ext={number}"))
VALID = st.one_of(
    st.tuples(st.just(Trim()), WORDS),
    st.tuples(st.just(Email()), st.from_regex(r"[a-z0-9.+_-]{1,20}@([a-z0-9]{1,9}\.){1,3}[a-z]{2,6}", fullmatch=True)),
    st.tuples(
        st.builds(Phone, form=st.sampled_from(["e164", "international"]), region=st.sampled_from([None, "DE", "US"])),
        st.builds(str.__add__, st.sampled_from(sorted(PHONES)), EXTENSIONS),
    ),
    st.tuples(
        st.builds(Country, form=st.sampled_from(["name", "alpha_2", "alpha_3", "numeric"])), st.sampled_from(COUNTRIES)
    ),
    st.tuples(
        st.builds(State, form=st.sampled_from(["name", "code", "iso"]), country=st.just("country")),
        st.sampled_from(STATES),
    ),
    st.tuples(
        st.builds(Currency, form=st.sampled_from(["code", "numeric", "name"])),
        st.sampled_from(["EUR", "USD", "CHF", "ALL", "XAU"]),
    ),
    st.tuples(
        st.just(Money(form="text")),
        st.decimals(-(10**12), 10**12, places=4).map(lambda one: built(Money()).inward(str(one), None)),
    ),
    st.tuples(st.just(Money(digits=2)), st.integers(-(10**9), 10**9).map(str)),
    st.tuples(st.just(Picklist()), st.sampled_from(["banking", "tech"])),
    st.tuples(
        st.builds(
            Date,
            form=st.sampled_from(["date", "datetime"]),
            zone=ZONES,
            format=st.sampled_from([None, "%d.%m.%Y", "%m/%d/%Y"]),
        ),
        # On the first and last days another zone's midnight is beyond the calendar.
        st.dates(date(2, 1, 1), date(9998, 1, 1)).map(date.isoformat),
    ),
    st.tuples(
        st.builds(Datetime, zone=st.just(None), format=st.sampled_from([None, "%Y-%m-%d %H:%M:%S"])),
        st.datetimes().map(lambda at: at.replace(microsecond=0).isoformat() + "Z"),
    ),
)


@given(VALID)
def test_a_canonical_value_comes_back_as_it_was(pair: tuple[Declared, Any]) -> None:
    spec, value = pair
    one = built(spec)
    assert one.inward(one.outward(value), one.home(value)) == value


@given(VALID)
def test_a_canonical_value_is_canonical_already(pair: tuple[Declared, Any]) -> None:
    spec, value = pair
    if isinstance(spec, Picklist) or getattr(spec, "format", None) or getattr(spec, "form", "") == "datetime":
        return  # what is written there is not what is canonical
    assert built(spec).inward(value, None) == value


@given(
    st.sampled_from([Trim(), Email(), Phone(region="DE"), Money(), Country(), Datetime(zone="Asia/Tokyo")]), st.text()
)
def test_what_any_text_becomes_is_canonical_or_refused_and_never_another_error(spec: Declared, text: str) -> None:
    one = built(spec)
    try:
        canonical = one.inward(text, None)
    except ValueError:
        return
    if canonical is not None:
        assert one.inward(canonical, None) == canonical
        assert one.inward(one.outward(canonical), None) == canonical


@pytest.mark.parametrize(
    ("spec", "told", "canonical"),
    [
        (Trim(), "  Alder Works \t", "Alder Works"),
        (Trim(), "   ", None),
        (Email(), " Ann.Moss@Alder.EXAMPLE ", "ann.moss@alder.example"),
        (Email(), "ann@alder.example.invalid", "ann@alder.example.invalid"),
        (Phone(region="DE"), "030 / 123 456 78", "+493012345678"),
        (Phone(region="US"), "(212) 555-0100 ext. 12", "+12125550100;ext=12"),
        (Phone(), "+43 1 234567", "+431234567"),
        (Country(), "germany", "DE"),
        (Country(), "DEU", "DE"),
        (Country(), 276, "DE"),
        (Country(aliases={"Deutschland": "DE"}), "deutschland", "DE"),
        (State(region="US"), "New York", "US-NY"),
        (State(region="US"), "NY", "US-NY"),
        (State(region="US"), "de-by", "DE-BY"),
        (State(region="DE", aliases={"Bavaria": "DE-BY"}), "Bavaria", "DE-BY"),
        (Currency(), "eur", "EUR"),
        (Currency(aliases={"€": "EUR"}), "€", "EUR"),
        (Money(), 50000.0, "50000"),
        (Money(), "0012.3400", "12.34"),
        (Money(), "-0.00", "0"),
        (Money(), "1e3", "1000"),
        (Picklist(), 2, "tech"),
        (Picklist(), "2", "tech"),
        (Picklist(), 2.0, "tech"),
        (Picklist(aliases={"7": "tech"}), 7, "tech"),
        (Date(), "2026-11-24", "2026-11-24"),
        (Date(format="%d.%m.%Y"), "24.11.2026", "2026-11-24"),
        (Date(form="datetime", zone="Europe/Berlin"), "2026-11-23T23:00:00Z", "2026-11-24"),
        (Datetime(), "2026-11-24T09:30:00.250+01:00", "2026-11-24T08:30:00Z"),
        (Datetime(zone="Europe/Berlin"), "2026-11-24T09:30:00", "2026-11-24T08:30:00Z"),
        (Datetime(zone="Europe/Berlin", format="%d.%m.%Y %H:%M"), "24.11.2026 09:30", "2026-11-24T08:30:00Z"),
    ],
)  # fmt: skip
def test_what_systems_say_becomes_canonical(spec: Declared, told: Any, canonical: Any) -> None:
    assert built(spec).inward(told, None) == canonical


@pytest.mark.parametrize(
    ("spec", "told", "words"),
    [
        (Email(), "ann at alder", "no e-mail address"),
        (Email(), "ann@alder", "no e-mail address"),
        (Phone(region="DE"), "ask Ann", "no telephone number"),
        (Phone(), "030 12345678", "no telephone number"),
        (Phone(region="DE"), "3", "no telephone number"),
        (Phone(region="NG"), "0025414031584", "another number again"),
        (Country(), "Atlantis", "no country"),
        (State(country="country"), "NY", "nobody told"),
        (State(region="DE"), "NY", "no state of DE"),
        (State(region="BD"), "Dhaka", "no state of BD"),  # a district and a division
        (Currency(form="name"), "Bolívar Soberano", "no currency"),  # VED and VES
        (Currency(), "€", "no currency"),
        (Money(), "much", "no amount"),
        (Money(), True, "no amount"),
        (Money(), "NaN", "no amount"),
        (Money(), "1e999999", "no amount"),
        (Money(), "123456789012345678901234567.89", "no amount"),
        (Picklist(), 9, "not in the field's table"),
        (Picklist(), "Banking", "not in the field's table"),
        (Date(), "24.11.2026", "no day"),
        (Date(), 5, "no text"),
        (Datetime(), "yesterday", "no time"),
        (Trim(), 5, "no text"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_the_reason(spec: Declared, told: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        built(spec).inward(told, None)


@pytest.mark.parametrize(
    ("spec", "canonical", "native"),
    [
        (Phone(form="international"), "+493012345678;ext=5", "+49 30 12345678 ext. 5"),
        (Country(), "DE", "Germany"),
        (Country(form="numeric"), "AF", "004"),
        (State(region="US"), "DE-BY", "Bayern"),
        (State(region="US", form="code"), "DE-BY", "BY"),
        (Money(digits=2), "12.3", 12.3),
        (Money(), "50000", 50000),
        (Picklist(), "tech", 2),
        (Date(form="datetime", zone="Europe/Berlin"), "2026-07-01", "2026-06-30T22:00:00Z"),
        (Date(format="%d.%m.%Y"), "0999-11-24", "24.11.0999"),
        (Datetime(zone="Europe/Berlin", format="%d.%m.%Y %H:%M"), "2026-11-24T08:30:00Z", "24.11.2026 09:30"),
    ],
)
def test_canonical_values_are_written_as_the_system_writes_them(spec: Declared, canonical: Any, native: Any) -> None:
    assert built(spec).outward(canonical) == native


@pytest.mark.parametrize(
    ("spec", "canonical", "words"),
    [
        (Money(digits=2), "12.345", "more than 2 digits"),
        (Money(), "12345678901234567.89", "no number that JSON holds exactly"),
        (Picklist(), "mining", "no counterpart"),
        (Country(), "XX", "no ISO code"),
        (State(region="US"), "NY", "no ISO code"),
        (Phone(), "030 1", "no telephone number"),
        (Date(), "soon", "no day"),
    ],
)
def test_what_a_system_cannot_say_is_refused(spec: Declared, canonical: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        built(spec).outward(canonical)


def test_every_country_and_every_state_comes_back_by_its_code() -> None:
    country, state = built(Country()), built(State(form="code", country="country"))
    assert all(country.inward(country.outward(one), None) == one for one in COUNTRIES)
    every = [one.code for one in pycountry.subdivisions]
    assert all(state.inward(state.outward(code), state.home(code)) == code for code in every)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_declared_transform_has_its_ways(kind: type[Declared]) -> None:
    more = {"region": "US"} if kind is State else {}
    if kind is not NamePart:
        assert built(kind(**more)) is not None


# -- names


@given(st.none() | st.lists(WORDS, min_size=1, max_size=3).map(" ".join), st.none() | WORDS)
def test_a_whole_name_has_the_same_parts_again_or_is_refused(first: str | None, last: str | None) -> None:
    for form in ("first last", "last, first"):
        try:
            whole = names.whole(first, last, form)
        except ValueError:
            assert last is None or form == "first last"
        else:
            assert whole is None or names.parts(whole, form) == (first, last)


@pytest.mark.parametrize(
    ("whole", "parts"),
    [
        ("Ann Moss", ("Ann", "Moss")),
        ("Ann Mary Moss", ("Ann Mary", "Moss")),
        ("Anna  van der Berg", ("Anna", "van der Berg")),
        ("Moss", (None, "Moss")),
        ("van Berg", ("van", "Berg")),
        ("  ", (None, None)),
    ],
)
def test_a_whole_name_is_cut_where_people_cut_it(whole: str, parts: tuple[str | None, str | None]) -> None:
    assert names.parts(whole, "first last") == parts


def test_a_name_that_would_be_cut_elsewhere_is_written_in_the_other_form_only() -> None:
    with pytest.raises(ValueError, match="last, first"):
        names.whole("Ann", "Moss Hill", "first last")
    assert names.whole("Ann", "Moss Hill", "last, first") == "Moss Hill, Ann"
