"""Writing Dataverse rows by the Web API, chosen by their number (dynamics.md §3.2, §3.4, §3.6).

One write is a PATCH. Several are `$batch`es of changesets: each write in one of its own, save that a row and those of the
same call that point to it are one, for they belong together. Many of one table that ask for no version go by bulk.py.

Promises: an update never creates; a row that is to be deleted and is not there was deleted; a write may be repeated; one
write's error is no other's: what is undone for another's sake is sent again by itself. A version is told only where the row
then had the values that were written.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence

from isthmus.codecs.dynamics_batch import BatchRequest
from isthmus.config.errors import AuthError, ConflictError, MissingReference, PlatformError, TransientError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.dynamics import batch, bulk, merging, records
from isthmus.systems.dynamics.errors import DUPLICATE_KEY, KEY_NOT_FOUND, web_api_error
from isthmus.systems.dynamics.requests import Objects, condition, mapped, request, traced
from isthmus.systems.dynamics.session import Session
from isthmus.systems.http import Answer
from isthmus.systems.plain import chunks
from isthmus.systems.protocol import Write, Written
from isthmus.systems.singly import singly
from isthmus.systems.waves import families, waves

BATCH = 50
BULK_AT_LEAST = 100
BULK = 200
IN_PARENTHESES = re.compile(r"\(([0-9a-f-]{36})\)", re.IGNORECASE)

Told = Written | PlatformError


async def write(environment: Session, objects: Objects, writes: Sequence[Write]) -> list[Told]:
    """One answer each, in order; a write that refers to a record of another one comes after it, and merges come last."""
    merges = [one for one in writes if one.into is not None]
    if not merges:
        return await _write(environment, objects, writes)
    told = iter(await _write(environment, objects, [one for one in writes if one.into is None]))
    made = iter(await singly(lambda one: merging.carry_out(environment, objects, one), merges))
    return [next(told if one.into is None else made) for one in writes]


async def _write(environment: Session, objects: Objects, writes: Sequence[Write]) -> list[Told]:
    answers = await _together(environment, objects, writes)
    left = [number for number in range(len(writes)) if number not in answers]
    for wave in waves([writes[number] for number in left]):
        groups = list(_groups(objects, writes, [left[one] for one in wave]))
        told = await asyncio.gather(
            *(_carry_out(environment, objects, action, [writes[n] for n in group]) for action, group in groups)
        )
        for (_, group), some in zip(groups, told, strict=True):
            answers.update(zip(group, some, strict=True))
    return [answers[number] for number in range(len(writes))]


def _groups(objects: Objects, writes: Sequence[Write], wave: Sequence[int]) -> Iterator[tuple[str, Sequence[int]]]:
    """The numbers that are sent together, with the bulk action, empty for a batch."""
    alike: dict[tuple[str, str], list[int]] = {}
    for number in wave:
        one = writes[number]
        free = one.object in objects and one.if_version is None and not one.references and not one.delete
        action = "" if not free else "UpsertMultiple" if one.record_id is None else "UpdateMultiple"
        alike.setdefault((action, one.object if free else ""), []).append(number)
    rest: list[int] = []
    for (action, _), numbers in alike.items():
        if action and len(numbers) >= BULK_AT_LEAST:
            yield from ((action, some) for some in chunks(numbers, BULK))
        else:
            rest += numbers
    yield from (("", some) for some in chunks(rest, BATCH))


async def _carry_out(environment: Session, objects: Objects, action: str, wishes: Sequence[Write]) -> list[Told]:
    if not action:
        return await _batch(environment, objects, wishes)
    told = await bulk.carry_out(environment, objects, action, wishes)
    if told is not None:
        return told
    again = await asyncio.gather(*(_batch(environment, objects, some) for some in chunks(wishes, BATCH)))
    return [one for some in again for one in some]


# -- one, and several


async def _batch(environment: Session, objects: Objects, wishes: Sequence[Write]) -> list[Told]:
    """Each by itself, in one `$batch` of changesets of one where there are several."""
    requests = [_tried(environment, objects, wish) for wish in wishes]
    ready = [one for one in requests if isinstance(one, BatchRequest)]
    answers = iter(await (_changesets(environment, ready, wishes) if len(ready) > 1 else _single(environment, ready)))
    told = [next(answers) if isinstance(one, BatchRequest) else one for one in requests]
    return await asyncio.gather(
        *(_judge(environment, objects, wish, answer) for wish, answer in zip(wishes, told, strict=True))
    )


async def _changesets(environment: Session, requests: Sequence[BatchRequest], wishes: Sequence[Write]) -> batch.Replies:
    replies = await batch.change(environment, [(one,) for one in requests], traced(wishes))
    return [reply for (reply,) in replies]


async def _single(environment: Session, requests: Sequence[BatchRequest]) -> batch.Replies:
    try:
        return [await _send(environment, one) for one in requests]
    except PlatformError as fault:
        return [fault]


async def _send(environment: Session, one: BatchRequest) -> Answer:
    path = one.target.removeprefix(environment.root)
    return await environment.call(one.method, path, data=one.body, headers=dict(one.headers))


def _tried(environment: Session, objects: Objects, wish: Write) -> BatchRequest | PlatformError:
    try:
        return request(environment, objects, wish, condition(wish))
    except PlatformError as fault:
        return fault


# -- what belongs together


async def _together(environment: Session, objects: Objects, writes: Sequence[Write]) -> dict[int, Told]:
    """The answers of rows and what points to them, each of those families all or nothing. None of one that was undone for
    the sake of one of its writes; none where there are so many writes that bulk is better."""
    sets: list[tuple[list[int], batch.Changeset]] = []
    for family in families(writes) if len(writes) < BULK_AT_LEAST else []:
        if len(family) > 1 and (one := _changeset(environment, objects, [writes[number] for number in family])):
            sets.append((family, one))
    if not sets:
        return {}
    sent = [writes[number] for family, _ in sets for number in family]
    replies = await batch.change(environment, [one for _, one in sets], traced(sent))
    answers: dict[int, Told] = {}
    for (family, _), some in zip(sets, replies, strict=True):
        wishes = [writes[number] for number in family]
        answers.update(zip(family, await _outcome(environment, objects, wishes, some), strict=False))
    return answers


def _changeset(environment: Session, objects: Objects, wishes: Sequence[Write]) -> batch.Changeset:
    """The requests of a family; what one makes, a later one finds by its number (§3.4). Empty where one cannot be said."""
    earlier: dict[tuple[str, str], str] = {}
    requests: list[BatchRequest] = []
    try:
        for number, wish in enumerate(wishes, 1):
            requests.append(request(environment, objects, wish, condition(wish), earlier))
            earlier[wish.object, wish.external_id] = f"${number}"
    except PlatformError:
        return ()
    return tuple(requests)


async def _outcome(
    environment: Session, objects: Objects, wishes: Sequence[Write], replies: batch.Replies
) -> Sequence[Told]:
    faults = [fault for reply in replies if (fault := _fault(reply)) is not None]
    if not faults:
        return [await _judge(environment, objects, wish, one) for wish, one in zip(wishes, replies, strict=True)]
    waits = isinstance(faults[0], TransientError | AuthError) and not faults[0].of_record
    return [faults[0]] * len(wishes) if waits else []


def _fault(reply: Answer | PlatformError) -> PlatformError | None:
    if isinstance(reply, PlatformError):
        return reply
    return web_api_error(reply.status, reply.json(), reply.retry_after) if reply.status >= 400 else None


# -- answers


async def _judge(environment: Session, objects: Objects, wish: Write, answer: Answer | PlatformError) -> Told:
    try:
        if isinstance(answer, PlatformError):
            return answer
        if wish.delete and answer.status in (200, 204, 404):
            return Written(str(wish.record_id), None, created=False)
        if wish.record_id is None and wish.if_version is None and _code(answer) == DUPLICATE_KEY:
            # Two upserts of a new key: the other one has created it by now (dynamics.md §3.2).
            answer = await _send(environment, request(environment, objects, wish, "*"))
        if answer.status not in (200, 201, 204):
            return _refusal(answer, wish)
        mapping = mapped(objects, wish.object)
        told = _written(mapping, wish, answer)
        return told if told is not None else (await bulk.read_back(environment, mapping, [wish]))[0]
    except PlatformError as fault:
        return fault


def _written(mapping: SystemMapping, wish: Write, answer: Answer) -> Written | None:
    """None where it was written, but the platform gave no row and only echoes the key (§3.2)."""
    told = answer.json()
    found: records.Found = told if isinstance(told, dict) else {}
    named = IN_PARENTHESES.search(answer.headers.get("odata-entityid", ""))
    record_id = found.get(mapping.primary_key) or wish.record_id or (named[1] if named else None)
    if record_id is None:
        return None
    known = records.version({"@odata.etag": answer.headers.get("etag"), **found})
    return Written(str(record_id).lower(), known, created=answer.status == 201)


def _code(answer: Answer) -> str:
    return "" if answer.status < 400 else web_api_error(answer.status, answer.json()).code


def _refusal(answer: Answer, wish: Write) -> PlatformError:
    fault = web_api_error(answer.status, answer.json(), answer.retry_after)
    if wish.references and fault.code == KEY_NOT_FOUND and (wish.record_id is not None or wish.if_version is None):
        return MissingReference(str(fault), code=fault.code)
    if wish.record_id is None and wish.if_version is None and isinstance(fault, ConflictError):
        # There is no row to read again: an upsert that only updates met one that was deleted meanwhile.
        return TransientError(str(fault), code=fault.code, of_record=True)
    return fault
