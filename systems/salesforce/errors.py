"""What Salesforce's failures mean: REST statuses and error codes, Bayeux errors, OAuth errors, in one place.

Promises: pure; every failure becomes one of the `PlatformError`s; a code that nobody knows is judged by its status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from isthmus.config.errors import (
    AuthError,
    ConflictError,
    MissingReference,
    PermanentError,
    PlatformError,
    ReplayLost,
    TransientError,
)

QUOTA_WAIT_SECONDS = 300.0
CROWD_WAIT_SECONDS = 30.0
LONGEST_MESSAGE = 500

# salesforce.md §4.2
RETRY = {
    "UNABLE_TO_LOCK_ROW",
    "SERVER_UNAVAILABLE",
    "TOO_MANY_APEX_REQUESTS",
    "QUERY_TIMEOUT",
    "REQUEST_RUNNING_TOO_LONG",
    "UNKNOWN_EXCEPTION",
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "PROCESSING_HALTED",
    "INVALID_QUERY_LOCATOR",
}
# A lock, or another record of the same call: other records would have been taken.
OF_RECORD = {"UNABLE_TO_LOCK_ROW", "ALL_OR_NONE_OPERATION_ROLLED_BACK", "PROCESSING_HALTED"}
WAIT = {"REQUEST_LIMIT_EXCEEDED", "STORAGE_LIMIT_EXCEEDED"}
CONFLICT = {"ENTITY_IS_DELETED", "NOT_FOUND"}
AUTH = {"INVALID_SESSION_ID", "INVALID_AUTH_HEADER"}
RETRIED_STATUSES = {408, 420, 429}

# Codes that begin so.
FAMILIES = {
    "INSUFFICIENT_ACCESS": "give the integration user's permission set access to the record, or share it with the user",
    "INVALID_CROSS_REFERENCE": "the record that is referred to is gone, or may not be seen",
    "INVALID_EMAIL": "correct the address in its source",
    "MALFORMED_ID": "the id is none of this object's: look at the mapping",
    "CANNOT_INSERT_UPDATE": "a trigger or flow refuses the values: its message says why",
    "API_": "the org's edition, or the integration user, may not use the API",
}
STATUS_HINTS = {
    403: "give the integration user's permission set the right to use the API and the object",
    410: "the API version or the resource is gone: set another api_version",
    413: "the request is larger than Salesforce takes",
    414: "the address is longer than Salesforce takes: use a shorter external id",
    431: "address and headers are longer than Salesforce takes: use a shorter external id",
}
# salesforce.md §3
LOGIN_HINTS = {
    "not supported on this domain": "log in at the org's My Domain, not login. or test.",
    "no client credentials user": "name a run-as user in the app's client credentials flow",
    "hasn't approved": "pre-authorize the app for the user's profile or permission set",
    "audience is invalid": "set audience: https://login.salesforce.com, or https://test.salesforce.com for a sandbox",
    "invalid assertion": "upload the certificate that belongs to the private key to the app",
    "expired authorization code": "set this machine's clock right",
}

# A reference by external id whose record is still on its way.
PARENT_MISSING = re.compile(r"Foreign key external ID: .* not found")

HINTS = {
    "DUPLICATE_VALUE": "another record has this unique value: find out which, link or merge them",
    "DUPLICATES_DETECTED": "a duplicate rule refuses it: allow this user to save, or merge the records",
    "ENTITY_IS_LOCKED": "an approval locks the record",
    "INVALID_FIELD": "the field is missing, or the integration user may not see it: run isthmus check",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "the integration user may not write the field: run isthmus check",
    "DUPLICATE_EXTERNAL_ID": "the external id is not unique: flag the field as Unique and merge the records",
    "MULTIPLE_MATCHES": "the external id is not unique: flag the field as Unique and merge the records",
    "REQUEST_LIMIT_EXCEEDED": "the org's API calls are spent or too many run at once: look at /limits, ask for more",
    "STORAGE_LIMIT_EXCEEDED": "the org's storage is full: free some or buy more",
    "NOT_FOUND": "the record is gone, or the integration user may not see it",
    "ENTITY_IS_DELETED": "the record is in the recycle bin, or was merged into another",
    "STRING_TOO_LONG": "the field is shorter than the value: shorten it in its source, or map another field",
    "REQUIRED_FIELD_MISSING": "map the required fields, or give them defaults in Salesforce",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "a validation rule refuses the values: correct them, or except our user",
}


def first_error(body: Any) -> tuple[str, str]:
    """(code, message) of an error body: a REST array, a Collections result (`statusCode`), an OAuth object."""
    match body:
        case [{**error}, *_]:
            return str(error.get("errorCode") or error.get("statusCode") or ""), str(error.get("message", ""))
        case {"errors": [{**error}, *_]}:
            return first_error([error])
        case {"error": code}:
            return str(code), str(body.get("error_description", ""))
    return "", ""


def rest_error(status: int, body: Any, retry_after: float | None = None) -> PlatformError:
    """The error for a REST answer outside 2xx; `body` is its JSON or None (salesforce.md §4.2)."""
    code, message = first_error(body)
    text = f"Salesforce answers {status} {code}: {message}"[:LONGEST_MESSAGE].rstrip(": ")
    kind = _kind(status, code, message)
    wait = retry_after if retry_after is not None else _wait(code, message)
    hint = HINTS.get(code) or next((hint for start, hint in FAMILIES.items() if code.startswith(start)), None)
    hint = hint or STATUS_HINTS.get(status)
    if not issubclass(kind, TransientError):
        return kind(text, code=code or f"HTTP_{status}", hint=hint)
    of_record = kind is MissingReference or code in OF_RECORD or "UNABLE_TO_LOCK_ROW" in message
    return kind(text, code=code or f"HTTP_{status}", hint=hint, retry_after=wait, of_record=of_record)


def _kind(status: int, code: str, message: str) -> type[PlatformError]:
    if code in AUTH or status == 401:
        return AuthError
    if PARENT_MISSING.match(message):
        return MissingReference
    # A trigger that failed on a lock reports itself, and the lock only in its message.
    if code in RETRY | WAIT or "UNABLE_TO_LOCK_ROW" in message:
        return TransientError
    if code in CONFLICT or status == 412:
        return ConflictError
    if status >= 500 or status in RETRIED_STATUSES:
        return TransientError
    return PermanentError


def _wait(code: str, message: str) -> float | None:
    if code not in WAIT:
        return None
    return CROWD_WAIT_SECONDS if "Concurrent" in message else QUOTA_WAIT_SECONDS


def login_error(status: int, body: Any, retry_after: float | None = None) -> PlatformError:
    """The error for a refused login (salesforce.md §3); never holds what was sent."""
    if status >= 500 or status in RETRIED_STATUSES:
        return rest_error(status, body, retry_after)
    code, message = first_error(body)
    hint = next((hint for told, hint in LOGIN_HINTS.items() if told in message), None)
    return AuthError(f"Salesforce refuses the login: {code} {message}".rstrip(), code=code or "AUTH", hint=hint)


def meta_error(message: Mapping[str, Any]) -> PlatformError:
    """The error for a Bayeux meta message with `successful: false` (salesforce.md §1.4).

    The failure reason is read first, because a busy server says 401 in `error` and 503 only there.
    """
    told = str(_reason(message) or message.get("error") or "unknown error")
    text = f"Salesforce refuses {message.get('channel')}: {told}"[:LONGEST_MESSAGE]
    number = told.partition("::")[0]
    if number == "400" and "replayId" in told and "invalid" in told:
        hint = "re-read every record, then start again from -2: changes that were never delivered may be gone"
        return ReplayLost(text, hint=hint)
    if number == "401":
        return AuthError(text)
    if "daily limit" in told:
        return TransientError(text, code="QUOTA", retry_after=QUOTA_WAIT_SECONDS)
    if "concurrent user limit" in told or "To protect all customers" in told:
        return TransientError(text, code="CROWD", retry_after=CROWD_WAIT_SECONDS)
    if "nknown client" in told or "cookie present" in told:
        return TransientError(text, code="SESSION")
    if "doesn't exist" in told:
        return PermanentError(text, code="NO_CHANNEL", hint="select the entities for change data capture")
    if message.get("channel") == "/meta/subscribe" and number in ("400", "403"):
        hint = "select the entities for change data capture, and let the integration user view all their records"
        return PermanentError(text, code="SUBSCRIBE", hint=hint)
    return TransientError(text, code="SESSION")


def _reason(message: Mapping[str, Any]) -> Any:
    match message.get("ext"):
        case {"sfdc": {"failureReason": reason}}:
            return reason
    return None
