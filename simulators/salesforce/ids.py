"""Record ids: 15 characters that tell case apart, 18 that do not need to (salesforce.md §5)."""

from __future__ import annotations

import string

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def to18(record_id: str) -> str:
    """A 15-character id with its case suffix."""
    if len(record_id) != 15:
        return record_id
    chunks = (record_id[start : start + 5] for start in (0, 5, 10))
    return record_id + "".join(SUFFIX[sum(1 << k for k, c in enumerate(chunk) if c.isupper())] for chunk in chunks)


def numbered(prefix: str, number: int) -> str:
    """The n-th id of an object, from its key prefix."""
    digits = ""
    for _ in range(7):
        number, rest = divmod(number, 62)
        digits = BASE62[rest] + digits
    return to18(f"{prefix}5g000{digits}"[:15].ljust(15, "0"))
