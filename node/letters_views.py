"""Dead letters as people see them: the values of the HTTP API, and which of them somebody wants.

Promises: pure; a line is short however long the letter is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from pydantic import BaseModel, Field

from isthmus.codecs.dead import described
from isthmus.tables.letters import LETTERS, Letter, edits_of, timestamp
from isthmus.tables.unit import View

SHOWN = 300
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class AttemptView(BaseModel):
    """One attempt that failed."""

    at: str = Field(description="When, RFC 3339.")
    code: str
    error: str
    place: str = Field("", description="The record it came by: topic/partition/offset.")


class DeedView(BaseModel):
    """What a person did with a letter."""

    order: str = Field(description="The order's id.")
    done: Literal["edited", "replayed", "discarded", "refused"]
    by: str
    at: str = Field(description="When, RFC 3339.")
    note: str = Field("", description="What came of it, or why it was refused.")
    edit: int | None = Field(None, description="The number of the edit, from 1.")


class EditView(BaseModel):
    """What an edit put in the place of what."""

    at: str
    by: str
    before: str
    after: str


class LetterLine(BaseModel):
    """A dead letter in a list."""

    id: str
    state: Literal["open", "replayed", "discarded"]
    system: str = Field(description="The system that it came from, or that was to be written.")
    entity: str
    record: str = Field(description="The native or canonical id, where it is known.")
    stage: str = Field(description="Where it died.")
    code: str
    error: str
    first: str = Field(description="When it died first, RFC 3339.")
    last: str = Field(description="When it died last.")
    died: int = Field(description="How often it died.")
    correlation: str


class LetterList(BaseModel):
    """Dead letters, the newest first."""

    letters: list[LetterLine]
    total: int = Field(description="How many match.")
    next: str | None = Field(description="What `before` has to be for those after these; null: these are the last.")
    partitions: int = Field(description="How many partitions answered.")
    complete: bool = Field(description="False while some partition's owner did not answer.")


class LetterView(LetterLine):
    """A dead letter, whole."""

    hint: str
    topic: str = Field(description="The topic that a replay gives it back to; empty: none.")
    original: str = Field(description="What died.")
    encoding: Literal["utf-8", "base64", "reference"] = Field(
        description="Of the original; reference: it was too large to keep, this is its digest."
    )
    change: dict[str, Any] | None = Field(description="The decoded change, where there is one.")
    mapping: str = Field("", description="The version of the entity's mapping by which it was worked on when it died.")
    payload: str | None = Field(description="What a replay sends instead, where somebody edited it.")
    context: dict[str, Any]
    attempts: list[AttemptView]
    deeds: list[DeedView]
    edits: list[EditView]


class Wanted(BaseModel):
    """Which letters; None: all. `since` is RFC 3339, or so long ago: `90s`, `30m`, `12h`, `7d`."""

    system: str | None = None
    entity: str | None = None
    code: str | None = None
    since: str | None = None
    state: Literal["open", "replayed", "discarded"] | None = None
    text: str | None = None

    def among(self, letters: Iterable[Letter], now: float) -> Iterator[Letter]:
        """Those that match."""
        after = "" if self.since is None else since(self.since, now)
        text = (self.text or "").lower()
        for one in letters:
            if (
                all(want in (None, getattr(one, name)) for name, want in self._exactly().items())
                and one.last >= after
                and (not text or text in _words(one))
            ):
                yield one

    def _exactly(self) -> dict[str, str | None]:
        return {"system": self.system, "entity": self.entity, "code": self.code, "state": self.state}


def since(text: str, now: float) -> str:
    """A time, or how long before `now` (seconds), as RFC 3339 like a letter's own; ValueError where it is neither."""
    if ago := re.fullmatch(r"(\d+)([smhd])", text):
        return timestamp(now - timedelta(**{UNITS[ago[2]]: int(ago[1])}).total_seconds())
    at = datetime.fromisoformat(text)
    return timestamp((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def _words(letter: Letter) -> str:
    told = (letter.id, letter.record, letter.correlation, letter.error, letter.original, letter.payload or "")
    return "\n".join(told).lower()


def line(letter: Letter) -> LetterLine:
    """A letter for a list."""
    told = {name: getattr(letter, name) for name in LetterLine.model_fields}
    return LetterLine(**told | {"error": letter.error[:SHOWN]})


def whole(view: View, letter: str) -> LetterView | None:
    """A letter with its edits; None where there is none."""
    raw = view.get(letter.encode())
    held = None if raw is None else LETTERS.decode(raw)
    if not isinstance(held, Letter):
        return None
    told = msgspec.to_builtins(held)
    edits = [msgspec.to_builtins(edit) for edit in edits_of(view, letter)]
    more = {"change": _change(held), "payload": held.payload, "mapping": str(held.context.get("mapping", ""))}
    return LetterView.model_validate(told | {"edits": edits} | more)


def _change(letter: Letter) -> dict[str, Any] | None:
    told = described(letter.original.encode())
    inner = told.get("change", told.get("linked", told))
    return inner if inner and isinstance(inner, dict) else None
