"""Names of people: the whole from its parts, and the parts of the whole.

Promises: pure; `whole` gives only what `parts` takes apart again as it was, else ValueError: a name is never cut at another
place than people cut it.
"""

from __future__ import annotations

from isthmus.codecs.change import Value

# They belong to the last name, also where several stand one after another: Anna van der Berg.
PARTICLES = frozenset(
    ["al", "bin", "bint", "da", "das", "de", "dei", "del", "della", "den", "der", "des", "di", "do", "dos", "du", "e",
     "el", "ibn", "la", "las", "le", "los", "ten", "ter", "van", "vom", "von", "y", "zu", "zum", "zur", "'t", "af"]
)  # fmt: skip
Parts = tuple[str | None, str | None]


def parts(whole: Value, form: str) -> Parts:
    """First and last name; a single word is a last name. ValueError for what is no text."""
    if not isinstance(whole, str):
        raise ValueError("is no text")
    told = " ".join(whole.split())
    if form == "last, first":
        last, _, first = told.partition(",")
        return first.strip() or None, last.strip() or None
    words = told.split(" ")
    start = len(words) - 1
    while start > 1 and words[start - 1].casefold() in PARTICLES:
        start -= 1
    return " ".join(words[:start]) or None, " ".join(words[start:]) or None


def whole(first: Value, last: Value, form: str) -> str | None:
    """The whole name; None where there is neither part."""
    told = [last, first] if form == "last, first" else [first, last]
    given = [one for one in told if one not in (None, "")]
    if not given:
        return None
    made = (", " if form == "last, first" else " ").join(str(one) for one in given)
    if parts(made, form) != (first or None, last or None):
        raise ValueError(f"would be written {made!r}, which is read as other parts; use the form 'last, first'")
    return made
