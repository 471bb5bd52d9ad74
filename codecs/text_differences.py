"""A long text that is told as what differs from the one before: a unified diff, with the SHA-256 of the text that comes of
it (salesforce.md §1.10).

Promises: pure; what comes of it has the hash that was told, so it is that text, to whatever it was applied; None where no
such text comes of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256

# What Unicode calls line ends besides these stands within a line; libraries for diffs take the text apart there.
LINE_END = re.compile(r"\r\n|\r|\n")
# In the browser lines end in the one, by an API in what the caller wrote, mostly the other.
LINE_ENDS = ("\r\n", "\n")
NEW_TEXT = re.compile(r"\+\+\+ ([0-9A-Fa-f]{64})\b.*")
HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@.*")

Lines = Sequence[str]


def applied(known: str, difference: str) -> str | None:
    """The text that comes of a known one, which may be that text already."""
    old, diff = LINE_END.split(known), LINE_END.split(difference)
    told = next((found for line in diff[:2] if (found := NEW_TEXT.fullmatch(line))), None)
    if told is None:
        return None
    wanted = told[1].lower()
    try:
        new = list(_applied(old, diff))
    except ValueError:
        new = old
    candidates = (known, *(end.join(new) for end in LINE_ENDS))
    return next((text for text in candidates if _hash(text) == wanted), None)


def _hash(text: str) -> str:
    # A lone surrogate is in no text of theirs.
    return sha256(text.encode(errors="replace")).hexdigest()


def _applied(old: Lines, diff: Lines) -> Iterator[str]:
    """The new lines. ValueError where the diff is none, or is not one to these."""
    done = 0
    for start, removed, added, hunk in _hunks(diff):
        if start < done or old[start : start + len(removed)] != removed:
            raise ValueError(hunk)
        yield from old[done:start]
        yield from added
        done = start + len(removed)
    yield from old[done:]


def _hunks(diff: Lines) -> Iterator[tuple[int, Lines, Lines, str]]:
    """Where each begins, the lines that it takes out and those that it puts in, with what stays among both."""
    rest = iter(diff[2:])
    for head in rest:
        if not (hunk := HUNK.fullmatch(head)):
            continue
        first, before, after = int(hunk[1]), int(hunk[2] or 1), int(hunk[3] or 1)
        removed: list[str] = []
        added: list[str] = []
        while len(removed) < before or len(added) < after:
            line = next(rest, None)
            if line is None:
                raise ValueError(head)
            removed += [line[1:]] if line[:1] in ("-", " ", "") else []
            added += [line[1:]] if line[:1] in ("+", " ", "") else []
        # Where it takes nothing out it names the line behind which it puts.
        yield first - (1 if before else 0), removed, added, head
