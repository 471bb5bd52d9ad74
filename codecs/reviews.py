"""What travels on `reviews`: a question that a person has to look at, and word that it is settled.

Promises: it survives its JSON; the same question has the same id, so asking twice is asking once.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from isthmus.codecs.change import Value

Kind = Literal["conflict", "rejected", "match"]
# Who speaks where a person decides: a system like the others, whose word comes first.
STEWARD = "steward"
# The record of that system that a golden record's pins are said of.
PINS = "pins"


class Side(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One of the values, or of the records, that are held against each other. `when` is RFC 3339, "" where it is not
    known; `counts`: it is the one that counts now."""

    system: str
    native_id: str
    value: Value = None
    when: str = ""
    change_id: str = ""
    counts: bool = False


class Decided(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a person decided: `verb` is pin, swap, release, undo, dismiss, link or apart; `at` is RFC 3339."""

    verb: str
    by: str
    at: str
    value: Value = None
    why: str = ""


class Review(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Two systems said different things of a field at about the same time (`conflict`), a record breaks rules and goes no
    further (`rejected`), or two records may be one (`match`, with its `score` from 0 to 1).

    `at`: when it came about by the source's own clock, RFC 3339. `closed`: it needs nobody any more; `decided`: by whom,
    the newest last.
    """

    id: str
    kind: Kind
    entity: str
    canonical: str
    at: str = ""
    field: str = ""
    sides: tuple[Side, ...] = ()
    reasons: tuple[str, ...] = ()
    score: float | None = None
    closed: bool = False
    decided: tuple[Decided, ...] = ()
