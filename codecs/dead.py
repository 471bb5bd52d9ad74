"""Dead letters: what could not be carried out, with everything needed to see why and to try again.

Promises: the original is kept whole (base64 where it is not UTF-8); one over `LARGEST` bytes by reference: its digest,
and the record that it came by; the key is stable for the same original, and so is the identity, however often it dies.
Whatever an original says of itself, its letter fits a record, and what the books call it is short.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from isthmus.config.errors import IsthmusError

LARGEST = 512 * 1024
LONGEST_TEXT, LONGEST_NAME = 2000, 80
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter. `context` says what it concerns: system, entity, record or canonical id, correlation, version of the
    mapping. `topic`: the one whose element it was, "" where it can be given back to none; `counted`: the ledger's subject
    under which it counts as dead, "" where it never was received."""

    stage: str
    code: str
    error: str
    hint: str
    original: str
    encoding: str
    context: dict[str, Any]
    topic: str = ""
    counted: str = ""

    def at(self, place: str) -> DeadLetter:
        """With the record that it came by (topic/partition/offset), where that is known."""
        return replace(self, context={**self.context, "at": place}) if place else self

    def under(self, versions: Mapping[str, str]) -> DeadLetter:
        """With the version of the mapping by which it was worked on, where that is known and not said yet. `versions`: by
        entity, and by system and object."""
        entity, system = self.context.get("entity"), self.context.get("system")
        version = versions.get(str(entity)) or versions.get(f"{system}/{entity}")
        return self if version is None else replace(self, context={"mapping": version, **self.context})

    def key(self) -> bytes:
        """The record it concerns where that is known, else a digest of the original."""
        concerns = self.context.get("record_id") or self.context.get("canonical")
        return str(concerns or hashlib.sha256(self.original.encode()).hexdigest()[:32]).encode()

    def identity(self) -> str:
        """The same for the same original, whatever the order of its keys, and for every write to the same record."""
        same: list[Any] = [self.stage, self.topic or self.context.get("system"), _sameness(self)]
        return hashlib.blake2b(orjson.dumps(same, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()

    def value(self) -> bytes:
        """JSON bytes."""
        return orjson.dumps(self)


def dead_letter(
    fault: Exception, *, stage: str, original: bytes, topic: str = "", counted: str = "", **context: Any
) -> DeadLetter:
    """The dead letter for an error; `original` is what came in, byte for byte."""
    known = fault if isinstance(fault, IsthmusError) else IsthmusError(repr(fault), code="UNEXPECTED")
    text, encoding = _text(original)
    told = {name: _short(value) for name, value in context.items()}
    return DeadLetter(stage, known.code, str(known)[:LONGEST_TEXT], known.hint, text, encoding, told, topic, counted)


def _short(value: Any) -> Any:
    return value if len(text := str(value)) <= LONGEST_TEXT else text[:LONGEST_TEXT]


def called(name: object) -> str:
    """What the books call what an original names so; a stranger may have written anything there."""
    return name if isinstance(name, str) and len(name) <= LONGEST_NAME else UNKNOWN


def _sameness(letter: DeadLetter) -> Any:
    if letter.topic.startswith("writes.") and letter.context.get("canonical"):
        return letter.context["canonical"]
    told = described(letter.original.encode())
    told.pop("again", None)
    # Of one change several fields may die, each a letter of its own.
    return [letter.context["field"], told] if "field" in letter.context else told or letter.original


def described(original: bytes) -> dict[str, Any]:
    """What an original says of itself: its JSON object, empty where it is none."""
    try:
        found = orjson.loads(original)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(original: bytes) -> tuple[str, str]:
    if len(original) > LARGEST:
        return f"sha256:{hashlib.sha256(original).hexdigest()} {len(original)} bytes", "reference"
    try:
        return original.decode(), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(original).decode(), "base64"
