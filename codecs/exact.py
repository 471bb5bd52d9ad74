"""JSON without loss: what the platforms' numbers, texts and times become before anything is compared or passed on.

Promises: pure; a parsed text passed through `value_of` fits our own wire (64-bit integers, finite floats, whole
characters), and no digit is lost: a number that neither form holds exactly becomes its decimal text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from isthmus.codecs.change import Value
from isthmus.config.errors import DecodeError

INT64 = range(-(2**63), 2**63)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_NUMBER = 64
BLANKS = " \t\r\n"


def parse(raw: bytes) -> Any:
    """One JSON document, numbers with a fraction as Decimal. DecodeError tells line and column where it is none."""
    found = [document for _, document in documents(raw)]
    if len(found) != 1:
        raise DecodeError("not JSON: nothing there" if not found else "not JSON: more than one document")
    return found[0]


def documents(raw: bytes) -> Iterator[tuple[int, Any]]:
    """The JSON documents that stand one after another in a text, JSON lines or not, each with the line it begins on."""
    text = _decoded(raw)
    at = _past_blanks(text, 0)
    line = 1 + text.count("\n", 0, at)
    while at < len(text):
        document, end = _document(text, at)
        yield line, document
        end = _past_blanks(text, end)
        line += text.count("\n", at, end)
        at = end


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise DecodeError(f"not UTF-8: byte {fault.start}") from fault


def _past_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in BLANKS:
        at += 1
    return at


def _document(text: str, at: int) -> tuple[Any, int]:
    try:
        document, end = json.JSONDecoder(parse_float=_decimal, parse_constant=_no_number).raw_decode(text, at)
        if "\\ud" in (told := text[at:end]) or "\\uD" in told:
            json.dumps(document, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as fault:
        raise DecodeError("not JSON: half a surrogate pair") from fault
    except RecursionError as fault:
        raise DecodeError("not JSON: nested too deeply") from fault
    except ValueError as fault:
        raise DecodeError(f"not JSON: {fault}") from fault
    return document, end


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"the number {text[:LONGEST_NUMBER]} is out of all bounds") from None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def value_of(found: Any, place: str) -> Value:
    """A parsed JSON value in the plain form of a `Change`; DecodeError where it is no JSON value."""
    match found:
        case None | bool() | str():
            return found
        case int():
            return found if found in INT64 else str(found)
        case float() if math.isfinite(found):
            return found
        case Decimal() if found.is_finite():
            return _number(found)
        case list() | tuple():
            return [value_of(one, f"{place}[{number}]") for number, one in enumerate(found)]
        case Mapping():
            return {str(name): value_of(one, f"{place}.{name}") for name, one in found.items()}
    raise DecodeError(f"{found!r} is no JSON value", place=place)


def _number(found: Decimal) -> float | str:
    near = float(found)
    return near if math.isfinite(near) and Decimal(repr(near)) == found else decimal_text(found)


def decimal_text(found: Decimal) -> str:
    """A decimal in digits, without an exponent unless it would be longer than any amount."""
    return format(found, "f") if abs(found.adjusted()) < LONGEST_NUMBER else str(found)


def instant(milliseconds: Any, place: str) -> str:
    """Milliseconds since 1970 as RFC 3339 in UTC, with a fraction only where there is one."""
    if not isinstance(milliseconds, int) or isinstance(milliseconds, bool):
        raise DecodeError("is no whole number of milliseconds", place=place)
    try:
        at = EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError as fault:
        raise DecodeError(f"{milliseconds} ms is beyond the calendar", place=place) from fault
    return at.isoformat(timespec="milliseconds" if at.microsecond else "seconds").replace("+00:00", "Z")
