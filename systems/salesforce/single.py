"""One write as one REST call: an update by id, or an upsert by external id (salesforce.md §4.1).

Promises: it may be repeated; two upserts of a new key that race end in one record.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from isthmus.config.errors import ConflictError, PermanentError, PlatformError, TransientError
from isthmus.systems.http import Answer
from isthmus.systems.protocol import Written
from isthmus.systems.salesforce.errors import rest_error
from isthmus.systems.salesforce.session import Session
from isthmus.systems.salesforce.wish import Wish

RACED = "DUPLICATE_VALUE"
NO_SUCH_KEY = "run isthmus check: no such object or external id field"


async def write(org: Session, wish: Wish) -> Written:
    """Update by id, or upsert by external id.

    `if_version` is not looked at: Salesforce has no such condition, and what is overwritten comes back as a change.
    """
    answer = await _send(org, wish)
    if wish.write.record_id is None and _raced(answer):
        # Two upserts of a new key: the other one has created it by now (salesforce.md §4.1).
        answer = await _send(org, wish)
    match answer.status, answer.json():
        case 200 | 201, {"id": str(record_id), **rest}:
            return Written(record_id, None, bool(rest.get("created", answer.status == 201)))
        case 204, _:
            return Written(wish.write.record_id or await _id_of(org, wish), None, created=False)
    raise refusal(wish, answer.status, answer.json(), answer.retry_after)


async def _send(org: Session, wish: Wish) -> Answer:
    return await org.call("PATCH", path(wish), json=wish.body(), headers=org.marks)


def path(wish: Wish) -> str:
    """Where the record is, below the API's root, percent-encoded."""
    base = f"/sobjects/{wish.mapping.object}"
    if wish.write.record_id is not None:
        return f"{base}/{quote(wish.write.record_id, safe='')}"
    return f"{base}/{wish.mapping.external_id}/{quote(wish.write.external_id, safe='')}"


def _raced(answer: Answer) -> bool:
    return answer.status == 400 and rest_error(answer.status, answer.json()).code == RACED


async def _id_of(org: Session, wish: Wish) -> str:
    """The id behind an external id, for API versions that answer an upsert with nothing."""
    found = await org.get(f"{path(wish)}?fields=Id")
    return str(found["Id"])


def refusal(wish: Wish, status: int, told: Any, retry_after: float | None = None) -> PlatformError:
    """The error for an answer that is no success; `told` is its JSON."""
    if status == 300:
        count = len(told) if isinstance(told, list) else "several"
        return PermanentError(f"{count} {wish.write.object} records have this external id", code="MULTIPLE_MATCHES")
    if status in range(200, 300):
        return TransientError(f"Salesforce answers {status} without an id", code="ANSWER")
    return judged(wish, rest_error(status, told, retry_after))


def judged(wish: Wish, fault: PlatformError) -> PlatformError:
    """An upsert thought nothing of its record, so nothing can contradict it, and there is no record to read again."""
    if wish.known or not isinstance(fault, ConflictError):
        return fault
    hint = NO_SUCH_KEY if fault.code == "NOT_FOUND" else "a record that it refers to is gone: look at its references"
    return PermanentError(str(fault), code=fault.code, hint=hint)
