"""The letters table: every dead letter, what became of it, and who did what with it.

Promises: a letter that dies again is the same letter; `standing` is how many deaths of it the ledger still holds as dead,
and only a replay takes that down; an edit keeps what was there before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from isthmus.codecs.dead import described
from isthmus.codecs.letters import Order
from isthmus.tables.unit import Table, View

State = Literal["open", "replayed", "discarded"]
Done = Literal["edited", "replayed", "discarded", "refused"]
KEPT = 100


class Attempt(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One attempt that failed. `place`: the record that it came by, where that is known (topic/partition/offset)."""

    at: str
    code: str
    error: str
    place: str = ""


class Deed(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a person did; `note` says what came of it, or why it was refused. `edit`: the number of the edit."""

    order: str
    done: Done
    by: str
    at: str
    note: str = ""
    edit: int | None = None


class Letter(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="letter"):
    """One dead letter. Times are RFC 3339; `attempts` and `deeds` hold the newest `KEPT`, oldest first; `payload` is what
    a replay sends in the original's place, where somebody edited it; `died` counts all deaths."""

    id: str
    stage: str
    topic: str
    counted: str
    system: str
    entity: str
    record: str
    correlation: str
    code: str
    error: str
    hint: str
    original: str
    encoding: str
    context: dict[str, Any]
    first: str
    last: str
    state: State = "open"
    standing: int = 1
    died: int = 1
    edits: int = 0
    payload: str | None = None
    attempts: tuple[Attempt, ...] = ()
    deeds: tuple[Deed, ...] = ()

    @property
    def content(self) -> str:
        """What a replay sends."""
        return self.original if self.payload is None else self.payload

    def obeyed(self, order: str) -> bool:
        """Was an order heard already?"""
        return any(deed.order == order for deed in self.deeds)

    def after(self, order: Order, done: Done, note: str = "", edit: int | None = None) -> Letter:
        """The letter with one more deed."""
        deed = Deed(order.id, done, order.by, order.at, note, edit)
        return replace(self, deeds=(*self.deeds, deed)[-KEPT:])


class Edit(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="edit"):
    """What an edit put in the place of what."""

    at: str
    by: str
    before: str
    after: str


LETTERS: Table[Letter | Edit] = Table("letters", Letter | Edit)


def edit_key(letter: str, number: int) -> bytes:
    """The key of a letter's edit; they are kept apart, so that no record grows with them."""
    return f"{letter}/{number:06d}".encode()


def letters_of(view: View) -> Iterator[Letter]:
    """Every letter of a table partition."""
    for key, raw in view.scan():
        if not key.startswith(b"\xff"):
            held = LETTERS.decode(raw)
            if isinstance(held, Letter):
                yield held


def edits_of(view: View, letter: str) -> list[Edit]:
    """A letter's edits, oldest first."""
    held = (LETTERS.decode(raw) for _, raw in view.scan(f"{letter}/".encode()))
    return [edit for edit in held if isinstance(edit, Edit)]


# -- a death


def died(known: Letter | None, id: str, told: Mapping[str, Any], at: str) -> Letter:
    """A letter after a death, as the topic `dead` told it at that time."""
    fresh = _fresh(id, told, at)
    if known is None:
        return fresh
    newest = fresh if fresh.topic.startswith("writes.") else known
    return replace(
        newest,
        code=fresh.code,
        error=fresh.error,
        hint=fresh.hint,
        context=fresh.context,
        first=known.first,
        last=at,
        state="open",
        standing=known.standing + 1,
        died=known.died + 1,
        edits=known.edits,
        attempts=(*known.attempts, *fresh.attempts)[-KEPT:],
        deeds=known.deeds,
    )


def _fresh(id: str, told: Mapping[str, Any], at: str) -> Letter:
    context = dict(told["context"])
    inner = _inner(told["original"])
    place = str(context.pop("at", ""))
    tried = [Attempt(timestamp(one["at"]), one["code"], one["error"]) for one in context.pop("tried", ())]
    counted = str(told.get("counted", ""))
    system, _, entity = counted.partition("/")
    return Letter(
        id=id,
        stage=told["stage"],
        topic=str(told.get("topic", "")),
        counted=counted,
        system=str(context.pop("system", None) or system or inner.get("system") or ""),
        entity=str(context.pop("entity", None) or entity or inner.get("entity") or ""),
        record=str(context.pop("record_id", None) or context.get("canonical") or inner.get("native_id") or ""),
        correlation=str(context.pop("correlation", None) or inner.get("correlation") or ""),
        code=told["code"],
        error=told["error"],
        hint=told["hint"],
        original=told["original"],
        encoding=told["encoding"],
        context=context,
        first=at,
        last=at,
        attempts=(*tried, Attempt(at, told["code"], told["error"], place)),
    )


def _inner(original: str) -> Mapping[str, Any]:
    told = described(original.encode())
    linked = told.get("linked")
    return linked if isinstance(linked, dict) else told


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
