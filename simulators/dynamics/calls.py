"""One Web API request and its answer, free of any HTTP library, so that `$batch` parts and real requests are alike.

Promises: header names are lower case in a `Call`; `segments` understands keys with quotes, parentheses and slashes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from isthmus.simulators.dynamics import faults
from isthmus.simulators.dynamics.authority import Application

API = re.compile(r"^/api/data/v\d+\.\d+/")
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
KEY_PAIR = re.compile(r"\s*(\w+)\s*=\s*('(?:[^']|'')*'|[^,']+)\s*(?:,|$)")


@dataclass(frozen=True, slots=True)
class Segment:
    """`name(key)` of a path; `key` is None without parentheses."""

    name: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A request. `base` is the Web API's own URL without a last slash; `path` what follows it, unquoted."""

    method: str
    base: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    application: Application

    def json(self) -> dict[str, Any]:
        """The body as an object, numbers exact; Fault 400 where it is none."""
        try:
            found = json.loads(self.body or b"{}", parse_float=Decimal)
        except ValueError:
            raise faults.payload(self.path, "The payload is not JSON.") from None
        if not isinstance(found, dict):
            raise faults.payload(self.path, "The payload is not an object.")
        return found

    def prefers(self, preference: str) -> bool:
        """Is this in the Prefer header?"""
        return preference in [one.strip() for one in self.headers.get("prefer", "").split(",")]

    def preference(self, name: str) -> str | None:
        """The value of `name=value` in the Prefer header."""
        pairs = (one.strip().partition("=") for one in self.headers.get("prefer", "").split(","))
        return next((value.strip('"') for key, _, value in pairs if key == name), None)

    @property
    def correlation(self) -> str | None:
        """The id by which the caller wants to find the request again, where it is a GUID."""
        told = self.headers.get("x-ms-correlation-request-id", "")
        return told.lower() if GUID.fullmatch(told) else None

    def condition(self, header: str) -> str | None:
        """If-Match or If-None-Match; clients send a literal `null` for none."""
        value = self.headers.get(header)
        return None if value in (None, "", "null") else value


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `body` is JSON-ready, or bytes as they are, or None."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


def fault_reply(fault: faults.Fault) -> Reply:
    """The answer that a Fault is."""
    return Reply(fault.status, fault.headers(), fault.body())


def split_target(target: str) -> tuple[str, dict[str, str]]:
    """Path below the Web API and query of a request target or absolute URL; Fault 404 outside the Web API."""
    parts = urlsplit(target)
    if not API.match(parts.path):
        raise faults.no_resource(parts.path)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    aliases = {name: value for name, value in query.items() if name.startswith("@")}
    return unquote(API.sub("", parts.path)), {name: _expand(value, aliases) for name, value in query.items()}


def segments(path: str) -> list[Segment]:
    """The path's parts; quotes hide slashes and parentheses."""
    pieces, start, depth, quoted = [], 0, 0, False
    for index, letter in enumerate(path):
        quoted ^= letter == "'"
        if not quoted:
            depth += (letter == "(") - (letter == ")")
            if letter == "/" and depth == 0:
                pieces.append(path[start:index])
                start = index + 1
    return [_segment(piece) for piece in (*pieces, path[start:]) if piece]


def key_pairs(key: str) -> dict[str, str]:
    """`a='x',b=2` as {"a": "'x'", "b": "2"}: values still as written."""
    found: dict[str, str] = {}
    position = 0
    while position < len(key):
        match = KEY_PAIR.match(key, position)
        if match is None:
            raise faults.invalid(f"Invalid key '{key}'.")
        found[match[1]] = match[2].strip()
        position = match.end()
    return found


def literal(text: str) -> Any:
    """A literal of a key: text without its quotes, a number, true, false or null; anything else as text."""
    if text.startswith("'") and text.endswith("'") and len(text) > 1:
        return text[1:-1].replace("''", "'")
    constants = {"null": None, "true": True, "false": False}
    if text in constants:
        return constants[text]
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def _segment(piece: str) -> Segment:
    name, opened, rest = piece.partition("(")
    return Segment(name, rest.removesuffix(")")) if opened else Segment(name)


def _expand(value: str, aliases: Mapping[str, str]) -> str:
    for name, meant in aliases.items():
        value = meant.join(re.split(rf"{re.escape(name)}\b", value))
    return value
