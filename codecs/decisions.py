"""What travels on `decisions`: what a steward decides about a field of a golden record, or of a question.

Promises: an order survives its JSON; its id makes a repeat of it harmless.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from isthmus.codecs.change import Value

Verb = Literal["pin", "swap", "release", "undo", "dismiss"]


class Decision(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """`review`: the question that it answers, "" for none; `value`: what is to count (`pin`, `swap`). `at` is RFC 3339,
    `by` who decides, `why` in that person's words."""

    id: str
    verb: Verb
    by: str
    at: str
    review: str = ""
    entity: str = ""
    canonical: str = ""
    field: str = ""
    value: Value = None
    why: str = ""
