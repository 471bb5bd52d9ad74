"""What travels on `identities`: records that were matched before the first sync, and what people say of who is who.

Promises: each survives its JSON, which tells them apart by `kind`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from isthmus.codecs.linked import Linked
from isthmus.codecs.reviews import Review, Side

Native = tuple[str, str]  # a system, and a record's id there


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
    (`unmerge`). `at` is RFC 3339, `id` the order's own."""

    id: str
    action: Literal["link", "apart", "unmerge"]
    entity: str
    records: tuple[Native, ...]
    by: str = ""
    at: str = ""


Word = Load | Ask | Decision


def question_id(entity: str, one: Native, other: Native) -> str:
    """The id of the question whether two records are one."""
    return "|".join(["match", entity, *sorted(":".join(native) for native in (one, other))])


def settled(entity: str, one: Native, other: Native) -> Review:
    """Word that it needs nobody any more."""
    sides = tuple(Side(*native) for native in (one, other))
    return Review(question_id(entity, one, other), "match", entity, "", sides=sides, closed=True)
