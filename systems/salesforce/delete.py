"""Deleting records: a call each, or by sObject Collections 200 at once (salesforce.md §4.1, §4.5).

Promises: one answer a record, in order; a record that is not there any more was deleted. `if_version` is not looked at:
Salesforce has no such condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from isthmus.config.errors import ConflictError, PlatformError, TransientError
from isthmus.systems.plain import chunks
from isthmus.systems.protocol import Written
from isthmus.systems.salesforce import single
from isthmus.systems.salesforce.collections import AT_ONCE, RECORDS_A_CALL
from isthmus.systems.salesforce.errors import rest_error
from isthmus.systems.salesforce.session import SLOW, Session
from isthmus.systems.salesforce.wish import Result, Wish
from isthmus.systems.singly import singly


async def delete(org: Session, wishes: Sequence[Wish], singles: int) -> list[Result]:
    """Delete these records, up to `singles` by a call each."""
    if len(wishes) <= singles:
        return list(await singly(lambda wish: _single(org, wish), wishes))

    async def call(some: Sequence[Wish]) -> list[Result]:
        return await _call(org, some)

    some = list(chunks(wishes, RECORDS_A_CALL))
    results: list[Result] = []
    for asked, told in zip(some, await singly(call, some, AT_ONCE), strict=True):
        results += [told] * len(asked) if isinstance(told, PlatformError) else told
    return results


async def _single(org: Session, wish: Wish) -> Written:
    answer = await org.call("DELETE", single.path(wish), headers=org.marks)
    if answer.status == 204:
        return _gone(wish)
    fault = rest_error(answer.status, answer.json(), answer.retry_after)
    if isinstance(fault, ConflictError):
        return _gone(wish)
    raise fault


async def _call(org: Session, wishes: Sequence[Wish]) -> list[Result]:
    asked = urlencode({"ids": ",".join(str(wish.write.record_id) for wish in wishes), "allOrNone": "false"})
    answer = await org.call("DELETE", f"/composite/sobjects?{asked}", headers=org.marks, timeout=SLOW)
    told = answer.json()
    if answer.status != 200:
        raise rest_error(answer.status, told, answer.retry_after)
    if not isinstance(told, list) or len(told) != len(wishes):
        raise TransientError("Salesforce answers for other records than it was asked for", code="ANSWER")
    return [_outcome(wish, one) for wish, one in zip(wishes, told, strict=True)]


def _outcome(wish: Wish, told: Any) -> Result:
    if isinstance(told, dict) and told.get("success"):
        return _gone(wish)
    fault = rest_error(200, told)
    return _gone(wish) if isinstance(fault, ConflictError) else fault


def _gone(wish: Wish) -> Written:
    return Written(str(wish.write.record_id), None, created=False)
