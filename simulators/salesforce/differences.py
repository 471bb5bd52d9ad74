"""Long texts of which an update tells only what differs, as a unified diff (salesforce.md §1.10).

Promises: a text is told whole where it is short, where the other one's length is far off, where much of it differs, or
where the diff would be no shorter.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

SHORTEST = 1000
LENGTH_APART, LINES_APART = 0.5, 0.25
LINE_END = re.compile(r"\r\n|\r|\n")


def told(old: Any, new: Any) -> Any:
    """How an update tells a value, after which there was: itself, or `{"diff": …}`."""
    if not isinstance(old, str) or not isinstance(new, str) or len(new) < SHORTEST:
        return new
    difference = unified(old, new)
    changed = sum(line[0] in "+-" for line in difference.splitlines()[2:]) / 2
    far = abs(len(new) - len(old)) > LENGTH_APART * len(old) or changed > LINES_APART * len(LINE_END.split(new))
    return new if far or len(difference) >= len(new) else {"diff": difference}


def unified(old: str, new: str) -> str:
    """The difference, with the hash of the new text."""
    header = ["--- ", f"+++ {sha256(new.encode()).hexdigest()}"]
    return "\n".join([*header, *_hunks(LINE_END.split(old), LINE_END.split(new))])


def _hunks(old: list[str], new: list[str]) -> Iterator[str]:
    for group in difflib.SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(0):
        for _, before, until, at, to in group:
            # Where nothing is taken out, or put in, it names the line behind which that is so.
            first, second = before + (until > before), at + (to > at)
            yield f"@@ -{first},{until - before} +{second},{to - at} @@"
            yield from (f"-{line}" for line in old[before:until])
            yield from (f"+{line}" for line in new[at:to])
