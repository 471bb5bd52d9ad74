"""What travels on `letters`: what a person wants done with a dead letter.

Promises: an order survives its JSON; its id makes a repeat of it harmless.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

Action = Literal["replay", "discard", "edit"]
LETTER_ID = re.compile(r"(\d{1,4})-[0-9a-f]{16}")


class Order(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Do this with a letter. `at` is RFC 3339, `by` who wants it; `payload`: what an edit puts in the original's place."""

    id: str
    letter: str
    action: Action
    by: str
    at: str
    payload: str | None = None


def letter_id(partition: int, identity: str) -> str:
    """The id of a letter: the partition that holds it, then what tells it from others there."""
    return f"{partition}-{identity}"


def partition_named(letter: str) -> int | None:
    """The partition that an id names; None where it is no id."""
    found = LETTER_ID.fullmatch(letter)
    return int(found[1]) if found else None
