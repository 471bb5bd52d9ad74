"""What travels on `identities`: records that were matched before the first sync, and what people say of who is who.

Promises: each survives its JSON, which tells them apart by `kind`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from isthmus.codecs.linked import Linked
from isthmus.codecs.reviews import Decided, Review, Side

Native = tuple[str, str]  # a system, and a record's id there
Action = Literal["link", "apart", "unmerge"]
HELD = "match"


class Load(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="kind", tag="load"):
    """These records, as a scan read them, are one; each with the canonical id that it carries."""

    rows: tuple[Linked, ...]
    externals: tuple[str | None, ...]


class Ask(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="kind", tag="ask"):
    """These two records may be one: nothing is to become of either until a person has said so."""

    rows: tuple[Linked, Linked]
    externals: tuple[str | None, str | None]
    review: Review


class Decision(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="kind", tag="decision"):
    """What a person says: these records are one (`link`), are not (`apart`); or the first is no part of its golden record
    (`unmerge`). `at` is RFC 3339, `id` the order's own; `review`: the question that it answers, if it is one of another
    name than theirs."""

    id: str
    action: Action
    entity: str
    records: tuple[Native, ...]
    by: str = ""
    at: str = ""
    why: str = ""
    review: str = ""


Word = Load | Ask | Decision


def question_id(entity: str, one: Native, other: Native) -> str:
    """The id of the question whether two records are one."""
    return "|".join([HELD, entity, *sorted(":".join(native) for native in (one, other))])


def is_held(question: str) -> bool:
    """Do the records of a question by this id wait for its answer?"""
    return question.startswith(f"{HELD}|")


def settled(word: Decision) -> tuple[Review, ...]:
    """Word that what it answers needs nobody any more."""
    ids = dict.fromkeys((question_id(word.entity, *word.records), word.review))
    sides = tuple(Side(*native) for native in word.records)
    deed = Decided(word.action, word.by, word.at, why=word.why)
    return tuple(Review(id, "match", word.entity, "", sides=sides, closed=True, decided=(deed,)) for id in ids if id)
