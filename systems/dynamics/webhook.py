"""Dynamics webhooks: is it one of ours, and which record does it hint at (dynamics.md §1)?

Promises: pure; a key is compared in constant time, and all of them always; a body is never believed beyond the record
that it names, because webhooks carry no version, come twice, out of order, and for changes that were rolled back.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from isthmus.codecs.change import Operation
from isthmus.codecs.dynamics_webhook import decode, merged_into

HEARTBEAT = "URL_VALIDATION"
NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Keys:
    """How a webhook proves itself (dynamics.md §1.2), and the values that are valid now, several while rotating.

    `key` is always the parameter `code`; `header` and `query` are a pair that the operator named.
    """

    kind: Literal["key", "header", "query"]
    values: tuple[str, ...] = field(repr=False)
    name: str = "code"


@dataclass(frozen=True, slots=True)
class Hint:
    """Look at this record. `object` is the table's logical name, `record_id` a lower-case GUID; `operation` is what the
    sender says happened; `change_id` is the same on every delivery of one webhook. `at`: when, RFC 3339;
    `merged_into`: the row that this one was merged into, which it was deactivated for."""

    object: str
    record_id: str
    operation: Operation
    correlation: str | None
    change_id: str
    at: str | None = None
    merged_into: str | None = None


def authenticate(headers: Mapping[str, str], query: Mapping[str, str], keys: Keys) -> bool:
    """Does the request carry a valid key? False where it carries none, or where none is valid."""
    # What is not UTF-8 arrives as surrogates; it must be refused, not fail.
    shown = _shown(headers, query, keys).encode(errors="surrogatepass")
    # All are compared, so that the time does not tell which key was the right one.
    matches = [bool(value) and hmac.compare_digest(shown, value.encode()) for value in keys.values]
    return any(matches)


def _shown(headers: Mapping[str, str], query: Mapping[str, str], keys: Keys) -> str:
    if keys.kind == "header":
        return next((value for name, value in headers.items() if name.lower() == keys.name.lower()), "")
    return query.get("code" if keys.kind == "key" else keys.name, "")


def hint(body: bytes, headers: Mapping[str, str]) -> list[Hint]:
    """The records to read for a webhook; none for a heartbeat, or for a message that is about no record.

    A body cut at 256 KB still names its record (dynamics.md §1.3). DecodeError where the body is no execution context.
    """
    if any(name.lower() == "x-ms-dynamics-request-name" and value == HEARTBEAT for name, value in headers.items()):
        return []
    master = merged_into(body)
    return [
        Hint(
            change.entity,
            change.record_id,
            change.operation,
            change.transaction,
            change.change_id,
            change.changed_at,
            master if change.record_id != master else None,
        )
        for change in decode(body)
        if change.record_id not in ("", NOBODY)
    ]
