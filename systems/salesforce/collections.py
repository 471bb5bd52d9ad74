"""Up to 200 records of one object in one call, by sObject Collections (salesforce.md §4.5).

Promises: one answer a record, in order; a record that is refused holds up no other (`allOrNone` false); upserts of new
keys that raced with another writer are tried once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isthmus.config.errors import PlatformError, TransientError
from isthmus.systems.plain import chunks
from isthmus.systems.protocol import Written
from isthmus.systems.salesforce import single
from isthmus.systems.salesforce.errors import rest_error
from isthmus.systems.salesforce.session import SLOW, Session
from isthmus.systems.salesforce.wish import Result, Wish
from isthmus.systems.singly import singly

RECORDS_A_CALL = 200
# More at once and calls wait for each other's locks on shared parents.
AT_ONCE = 2


async def write(org: Session, wishes: Sequence[Wish]) -> list[Result]:
    """Write any number of records of one object, all of them updates by id, or all of them upserts."""

    async def call(some: Sequence[Wish]) -> list[Result]:
        return await _call(org, some)

    some = list(chunks(wishes, RECORDS_A_CALL))
    results: list[Result] = []
    for asked, told in zip(some, await singly(call, some, AT_ONCE), strict=True):
        results += [single.judged(wish, told) for wish in asked] if isinstance(told, PlatformError) else told
    return results


async def _call(org: Session, wishes: Sequence[Wish]) -> list[Result]:
    mapping = wishes[0].mapping
    path = "/composite/sobjects"
    if not wishes[0].known:
        path += f"/{mapping.object}/{mapping.external_id}"
    records = {"allOrNone": False, "records": [wish.record() for wish in wishes]}
    answer = await org.call("PATCH", path, json=records, headers=org.marks, timeout=SLOW)
    told = answer.json()
    if answer.status != 200:
        raise rest_error(answer.status, told, answer.retry_after)
    if not isinstance(told, list) or len(told) != len(wishes):
        raise TransientError("Salesforce answers for other records than it was asked for", code="ANSWER")
    return [await _settled(org, wish, one) for wish, one in zip(wishes, told, strict=True)]


async def _settled(org: Session, wish: Wish, told: Any) -> Result:
    result = outcome(wish, told)
    return result if isinstance(result, Written) else await again_if_raced(org, wish, result)


async def again_if_raced(org: Session, wish: Wish, refused: PlatformError) -> Result:
    """An upsert of a new key that another writer created meanwhile, by a call of its own; else the error itself."""
    if wish.known or refused.code != single.RACED:
        return refused
    (result,) = await singly(lambda one: single.write(org, one), [wish])
    return result


def outcome(wish: Wish, told: Any) -> Result:
    """One record's result: `{id, success, errors, created}`."""
    match told:
        case {"success": True, "id": str(record_id)}:
            return Written(record_id, None, bool(told.get("created", False)))
        case {"success": False}:
            return refusal(wish, told)
    return TransientError("Salesforce's answer for a record has no id", code="ANSWER")


def refusal(wish: Wish, told: Any) -> PlatformError:
    """The error of one record inside an answer that is 200 as a whole."""
    return single.judged(wish, rest_error(200, told))
