"""Numbers, texts and times keep all that they are, or are refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codecs.exact import documents, instant, parse, value_of
from isthmus.config.errors import DecodeError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("10.12", 10.12),
        ("5.0", 5.0),
        ("0.1", 0.1),
        ("12345678901234567.89", "12345678901234567.89"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", "9223372036854775808"),
        ("1e400", "1E+400"),
    ],
)
def test_a_number_keeps_every_digit_and_fits_the_wire(text: str, value: Any) -> None:
    found = value_of(parse(text.encode()), "here")
    assert (found, type(found)) == (value, type(value))
    assert orjson.loads(orjson.dumps(found)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_any_decimal_comes_back_equal(number: Decimal) -> None:
    found = value_of(number, "here")
    assert isinstance(found, float | str)
    assert Decimal(repr(found) if isinstance(found, float) else found) == number


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "nothing there"),
        (b"{", "line 1 column 2"),
        (b"{} {}", "more than one"),
        (b"NaN", "NaN is no number"),
        (b"-Infinity", "no number"),
        (b'"\\ud83d"', "half a surrogate"),
        (b'{"\\uDE00": 1}', "half a surrogate"),
        (b"\xff", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1e9999999999999999999", "out of all bounds"),
        (b"1" * 5000, "not JSON"),
    ],
)
def test_what_is_no_json_is_refused(raw: bytes, problem: str) -> None:
    with pytest.raises(DecodeError, match=problem):
        parse(raw)


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert parse(b'"\\ud83d\\ude00"') == "😀"


def test_documents_tell_the_line_they_begin_on() -> None:
    assert list(documents(b'\xef\xbb\xbf\n{"a":\n1}\r\n\n2 3\n')) == [(2, {"a": 1}), (5, 2), (5, 3)]


@pytest.mark.parametrize(
    ("milliseconds", "told"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1608073758000, "2020-12-15T23:09:18Z"),
        (1608073758007, "2020-12-15T23:09:18.007Z"),
        (-62135596800000, "0001-01-01T00:00:00Z"),
    ],
)
def test_an_instant_has_milliseconds_only_where_there_are_any(milliseconds: int, told: str) -> None:
    assert instant(milliseconds, "here") == told


@pytest.mark.parametrize("milliseconds", [10**18, -(10**18), True, "1", 1.5, None])
def test_what_is_no_instant_is_refused_with_its_place(milliseconds: Any) -> None:
    with pytest.raises(DecodeError, match=r"^here: "):
        instant(milliseconds, "here")


@pytest.mark.parametrize("found", [float("nan"), float("inf"), Decimal("NaN"), object()])
def test_what_json_cannot_say_is_no_value(found: Any) -> None:
    with pytest.raises(DecodeError, match=r"^here\[0\]\.x: "):
        value_of([{"x": found}], "here")
