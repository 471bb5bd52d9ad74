"""Writing Dataverse rows by the Web API, chosen by their number (dynamics.md §3.2, §3.4, §3.6).

One write is a PATCH. Several are `$batch`es, which say of each what came of it. Many of one table that ask for no version
are UpsertMultiple or UpdateMultiple: those are all or nothing and say nothing of a row, so afterwards the rows are read
back, and a refused one is sent again as batches, which find whose fault it was. No changeset is ever sent: its all or
nothing would make one write's fault every other's.

Promises: an update never creates; a row that is to be deleted and is not there was deleted; a write may be repeated; one
write's error is no other's. A version is told only where the row then had the values that were written; `created` is not
known, and so False, of rows written in bulk.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson

from isthmus.codecs.dynamics_batch import BatchRequest
from isthmus.config.errors import ConflictError, MissingReference, PermanentError, PlatformError, TransientError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.dynamics import batch, records
from isthmus.systems.dynamics.errors import DUPLICATE_KEY, KEY_NOT_FOUND, web_api_error
from isthmus.systems.dynamics.session import Session
from isthmus.systems.http import Answer
from isthmus.systems.plain import chunks
from isthmus.systems.protocol import Reference, Write, Written
from isthmus.systems.waves import waves

BATCH = 50
BULK_AT_LEAST = 100
BULK = 200
IN_PARENTHESES = re.compile(r"\(([0-9a-f-]{36})\)", re.IGNORECASE)
ACTIONS = "Microsoft.Dynamics.CRM."

Objects = Mapping[str, SystemMapping]
Told = Written | PlatformError


async def write(environment: Session, objects: Objects, writes: Sequence[Write]) -> list[Told]:
    """One answer each, in order; a write that refers to a record of another one comes after it."""
    answers: dict[int, Told] = {}
    for wave in waves(writes):
        groups = list(_groups(objects, writes, wave))
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
    if action:
        return await _bulk(environment, objects, action, wishes)
    return await _batch(environment, objects, wishes)


# -- one, and several


async def _batch(environment: Session, objects: Objects, wishes: Sequence[Write]) -> list[Told]:
    """Each as a request of its own, in one `$batch` where there are several."""
    requests = [_tried(environment, objects, wish) for wish in wishes]
    ready = [one for one in requests if isinstance(one, BatchRequest)]
    answers = iter(await (batch.send(environment, ready) if len(ready) > 1 else _single(environment, ready)))
    told = [next(answers) if isinstance(one, BatchRequest) else one for one in requests]
    return await asyncio.gather(
        *(_judge(environment, objects, wish, answer) for wish, answer in zip(wishes, told, strict=True))
    )


async def _single(environment: Session, requests: Sequence[BatchRequest]) -> list[Answer | PlatformError]:
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


def request(environment: Session, objects: Objects, wish: Write, if_match: str | None) -> BatchRequest:
    """The request for one write."""
    mapping = mapped(objects, wish.object)
    if wish.delete:
        path = f"{environment.root}{_path(mapping, wish)}?tag={_tag(environment)}"
        return BatchRequest("DELETE", path, {"If-Match": if_match} if if_match else {})
    headers = {"Content-Type": "application/json", "Prefer": "return=representation"}
    asks = f"$select={mapping.primary_key},{records.VERSION}&tag={_tag(environment)}"
    return BatchRequest(
        "PATCH",
        f"{environment.root}{_path(mapping, wish)}?{asks}",
        headers | ({"If-Match": if_match} if if_match else {}),
        orjson.dumps(body(objects, wish)),
    )


def mapped(objects: Objects, name: str) -> SystemMapping:
    """The mapping of a table; PermanentError where there is none."""
    try:
        return objects[name]
    except KeyError:
        raise PermanentError(f"dynamics {name} is not mapped", code="UNMAPPED") from None


def condition(wish: Write) -> str | None:
    """The If-Match header: the version that must still be there, else any for an update, so that it never creates."""
    if not wish.if_version:
        return None if wish.record_id is None else "*"
    if not wish.if_version.isdecimal():
        raise ConflictError(f"{wish.if_version!r} is the version of no live row")
    return f'W/"{int(wish.if_version)}"'


def _tag(environment: Session) -> str:
    return quote(environment.config.client_name, safe="")


def _path(mapping: SystemMapping, wish: Write) -> str:
    if wish.record_id is not None:
        return f"{records.collection(mapping)}({quote(wish.record_id, safe='')})"
    return by_key(mapping, wish.external_id)


def by_key(mapping: SystemMapping, external_id: str) -> str:
    """The address of a row by its alternate key, percent-encoded: it is a URI in a body too."""
    value = quote(external_id.replace("'", "''"), safe="")
    return f"{records.collection(mapping)}({mapping.external_id}='{value}')"


def body(objects: Objects, wish: Write) -> dict[str, Any]:
    """The columns to send; never the key that stands in the path."""
    mapping = mapped(objects, wish.object)
    key = mapping.primary_key if wish.record_id is not None else mapping.external_id
    written = mapping.lookups
    fields = {
        f"{written[name]}@odata.bind" if name in written else name: value
        for name, value in wish.fields.items()
        if name != key
    }
    return fields | {f"{name}@odata.bind": _bound(objects, to) for name, to in wish.references.items()}


def _bound(objects: Objects, to: Reference) -> str:
    return "/" + by_key(mapped(objects, to.object), to.external_id)


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
        return _written(mapped(objects, wish.object), wish, answer)
    except PlatformError as fault:
        return fault


def _written(mapping: SystemMapping, wish: Write, answer: Answer) -> Written:
    told = answer.json()
    found: records.Found = told if isinstance(told, dict) else {}
    named = IN_PARENTHESES.search(answer.headers.get("odata-entityid", ""))
    record_id = found.get(mapping.primary_key) or wish.record_id or (named[1] if named else None)
    if record_id is None:
        raise TransientError("Dynamics does not say which row it wrote", code="ANSWER")
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


# -- many


async def _bulk(environment: Session, objects: Objects, action: str, wishes: Sequence[Write]) -> list[Told]:
    mapping = mapped(objects, wishes[0].object)
    try:
        path = f"{records.collection(mapping)}/{ACTIONS}{action}?tag={_tag(environment)}"
        answer = await environment.call("POST", path, json=targets(objects, wishes), timeout=batch.PATIENCE)
        if answer.status in (200, 204):
            return await _read_back(environment, mapping, wishes)
        fault = web_api_error(answer.status, answer.json(), answer.retry_after)
    except PlatformError as met:
        return [met] * len(wishes)
    if answer.status in (401, 408, 429) or answer.status >= 500:
        return [fault] * len(wishes)
    told = await asyncio.gather(*(_batch(environment, objects, some) for some in chunks(wishes, BATCH)))
    return [one for some in told for one in some]


def targets(objects: Objects, wishes: Sequence[Write]) -> dict[str, Any]:
    """The body of UpsertMultiple and UpdateMultiple; a key stands in the address alone, or creating fails
    (PowerPlatform-DataverseClient-Python#127)."""
    return {"Targets": [{**_addressed(objects, wish), **body(objects, wish)} for wish in wishes]}


def _addressed(objects: Objects, wish: Write) -> dict[str, Any]:
    mapping = mapped(objects, wish.object)
    kind = {"@odata.type": f"{ACTIONS}{mapping.object}"}
    if wish.record_id is not None:
        return {**kind, mapping.primary_key: wish.record_id}
    return {**kind, "@odata.id": by_key(mapping, wish.external_id)}


async def _read_back(environment: Session, mapping: SystemMapping, wishes: Sequence[Write]) -> list[Told]:
    by_id = wishes[0].record_id is not None
    column = mapping.primary_key if by_id else mapping.external_id
    asked = [str(wish.record_id if by_id else wish.external_id) for wish in wishes]
    found: dict[str, records.Found] = {}
    for some in records.fitting(mapping, asked):
        rows = await records.pages(environment, records.query(mapping, some, column))
        found.update({str(row[column]).casefold(): row for row in rows})
    return [_seen(mapping, wish, found.get(key.casefold())) for wish, key in zip(wishes, asked, strict=True)]


def _seen(mapping: SystemMapping, wish: Write, found: records.Found | None) -> Told:
    if found is None:
        return TransientError("the row that was written is not there", code="ANSWER", of_record=True)
    row = records.row(mapping, str(found[mapping.primary_key]).lower(), found)
    ours = all(row.fields.get(name) == value for name, value in wish.fields.items())
    return Written(row.record_id, row.version if ours else None, created=False)


# -- merge


async def merge(
    environment: Session, mapping: SystemMapping, winner: str, loser: str, fields: Mapping[str, Any]
) -> None:
    """Make one row of two: the loser is deactivated and points to the winner, its children move (dynamics.md §3.6).

    Only account, contact, lead and incident; PermanentError for others, ConflictError where one of them is gone.
    """
    kind = f"{ACTIONS}{mapping.object}"
    told = {
        "Target": {"@odata.type": kind, mapping.primary_key: winner},
        "Subordinate": {"@odata.type": kind, mapping.primary_key: loser},
        "UpdateContent": {"@odata.type": kind, **fields},
        "PerformParentingChecks": False,
    }
    answer = await environment.call("POST", f"Merge?tag={_tag(environment)}", json=told)
    if answer.status not in (200, 204):
        raise web_api_error(answer.status, answer.json(), answer.retry_after)
