"""What Dataverse's failures mean: Web API statuses and codes, in one place.

Promises: pure; every failure becomes one of the `PlatformError`s; a code that nobody knows is judged by its status.
"""

from __future__ import annotations

import re
from typing import Any

from isthmus.config.errors import AuthError, ConflictError, PermanentError, PlatformError, TransientError

LONGEST_MESSAGE = 500

NOT_FOUND, KEY_NOT_FOUND = "0x80040217", "0x80060891"
VERSION_MISMATCH, DUPLICATE_KEY = "0x80060882", "0x80040237"
# Seen as code -2147204270 by several clients of change tracking; dynamics.md §4 has the message.
EXPIRED_LINK = "0x80044352"

# dynamics.md §3.3, §3.5
TRANSIENT = {"0x80072321", "0x80072322", "0x80072326", "0x80040216", "0x80044150", "0x80044151"}
CONFLICT = {NOT_FOUND, KEY_NOT_FOUND, VERSION_MISMATCH}
# SQL Server gives one of two writers up, under the code of any SQL error.
DEADLOCK = re.compile(r"deadlock", re.IGNORECASE)
RETRIED_STATUSES = {408, 429}

HINTS = {
    DUPLICATE_KEY: "another row has the same key values: find out which, link or merge them",
    "0x80060892": "another row has the same alternate key: find out which, link or merge them",
    "0x80040333": "duplicate detection refuses it: merge the rows",
    "0x80040220": "give the application user's security role the missing privilege",
    "0x80040265": "a plug-in of the environment refuses it",
}


def web_api_error(status: int, body: Any, retry_after: float | None = None) -> PlatformError:
    """The error for a Web API answer outside 2xx; `body` is its JSON or None (dynamics.md §3.3)."""
    code, message = _code_and_message(body)
    text = f"Dynamics answers {status} {code}: {message}"[:LONGEST_MESSAGE].rstrip(": ")
    kind = _kind(status, code)
    passes = kind is TransientError
    return kind(
        text,
        code=code or f"HTTP_{status}",
        hint=HINTS.get(code),
        retry_after=retry_after if passes else None,
        of_record=passes and DEADLOCK.search(message) is not None,
    )


def _code_and_message(body: Any) -> tuple[str, str]:
    match body:
        case {"error": {"code": code, "message": message}}:
            return str(code).lower(), str(message)
    return "", ""


def _kind(status: int, code: str) -> type[PlatformError]:
    if status == 401:
        return AuthError
    if code in TRANSIENT:
        return TransientError
    if code in CONFLICT:
        return ConflictError
    if status >= 500 or status in RETRIED_STATUSES:
        return TransientError
    return PermanentError
