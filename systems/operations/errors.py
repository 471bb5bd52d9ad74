"""What the failures of Finance & Operations mean: its OData errors, in one place.

Promises: pure; every failure becomes one of the `PlatformError`s. A write that X++ refuses is told by the inner error's
type, for its status may be 400 or 500; where two people met on one row the same type is a conflict.
"""

from __future__ import annotations

import re
from typing import Any

from isthmus.config.errors import AuthError, ConflictError, PermanentError, PlatformError, TransientError

LONGEST_MESSAGE = 500
RETRIED_STATUSES = {408, 429}
WRITE_REFUSED = "AxODataWriteException"
UPDATE_CONFLICT = re.compile(r"update conflict|another user process", re.IGNORECASE)
DEADLOCK = re.compile(r"deadlock", re.IGNORECASE)
HINTS = {
    "WRITE_REFUSED": "Finance & Operations refuses it for the reason in the message: correct the record or the mapping",
    "HTTP_403": "give the application's user in Finance & Operations a role with access to the entity",
    "HTTP_404": "run isthmus check: no such entity set, or no such record",
}


def odata_error(status: int, body: Any, retry_after: float | None = None) -> PlatformError:
    """The error for an answer outside 2xx; `body` is its JSON or None."""
    kind_name, message = _inner(body)
    kind, code = _judged(status, kind_name, message)
    text = f"Operations answers {status}: {message}"[:LONGEST_MESSAGE].rstrip(": ")
    wait = retry_after if kind is TransientError else None
    return kind(text, code=code, hint=HINTS.get(code), retry_after=wait, of_record=code == "DEADLOCK")


def _judged(status: int, kind: str, message: str) -> tuple[type[PlatformError], str]:
    code = f"HTTP_{status}"
    if status == 401:
        return AuthError, code
    if kind.endswith(WRITE_REFUSED):
        if UPDATE_CONFLICT.search(message):
            return ConflictError, "UPDATE_CONFLICT"
        return (TransientError, "DEADLOCK") if DEADLOCK.search(message) else (PermanentError, "WRITE_REFUSED")
    if status == 412:
        return ConflictError, code
    if status >= 500 or status in RETRIED_STATUSES:
        return TransientError, code
    return PermanentError, code


def _inner(body: Any) -> tuple[str, str]:
    """The inner error's type, and the last message, which holds the reason."""
    match body:
        case {"error": {"innererror": {"message": str(message), **rest}}}:
            return str(rest.get("type", "")), message
        case {"error": {"message": message}}:
            return "", str(message)
        case {"Message": message}:
            return "", str(message)
    return "", ""
