"""Thousands of writes of one object as a Bulk API 2.0 ingest job (salesforce.md §4.7).

Promises: one answer a record, found by its key, for results come in no order; a record that no result speaks of is a
TransientError; a job that fails as a whole is no record's fault, so its records go by Collections instead; one that takes
too long is given up, so whoever waits for other records is held up for no longer.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from isthmus.config.errors import PermanentError, PlatformError, TransientError
from isthmus.systems.protocol import Written
from isthmus.systems.salesforce import collections, jobs
from isthmus.systems.salesforce.errors import rest_error
from isthmus.systems.salesforce.session import SLOW, Session
from isthmus.systems.salesforce.wish import Result, Wish, relationship

# 150 MB is the limit after base64, of which 100 MB are left for the CSV (salesforce.md §4.7).
UPLOAD_BYTES = 90_000_000
# Jobs stand in a line of the org's own, while whoever asked holds its other writes back.
LONGEST_SECONDS = 120.0
NULL = "#N/A"

Cells = Mapping[str, str]


async def write(org: Session, wishes: Sequence[Wish]) -> list[Result]:
    """Write records of one object, all of them updates by id, or all of them upserts."""
    results: list[Result] = []
    for some in uploads(wishes):
        results += await _job(org, some)
    return results


async def _job(org: Session, wishes: Sequence[Wish]) -> list[Result]:
    try:
        return await _results(org, wishes)
    except PermanentError:
        # What is wrong with the job says nothing of any record; Collections say it of each.
        return await collections.write(org, wishes)
    except jobs.Unfinished as fault:
        # The org is there: only these records come again, so few at once that they go by Collections.
        return [TransientError(str(fault), code=fault.code, of_record=True)] * len(wishes)
    except PlatformError as fault:
        return [fault] * len(wishes)


async def _results(org: Session, wishes: Sequence[Wish]) -> list[Result]:
    job = await jobs.create(org, "ingest", _wanted(wishes[0]))
    try:
        await _upload(org, job, wishes)
        await jobs.move(org, "ingest", job, "UploadComplete")
        info = await jobs.finished(org, "ingest", job, LONGEST_SECONDS)
    except BaseException:
        await jobs.give_up(org, "ingest", job)
        raise
    if info["state"] == "Failed":
        raise PermanentError(f"bulk job {job} failed: {info.get('errorMessage')}", code="JOB_FAILED")
    return await _collected(org, job, wishes)


def _wanted(wish: Wish) -> dict[str, Any]:
    wanted = {"object": wish.mapping.object, "contentType": "CSV", "lineEnding": "LF"}
    if wish.known:
        return {**wanted, "operation": "update"}
    return {**wanted, "operation": "upsert", "externalIdFieldName": wish.mapping.external_id}


async def _upload(org: Session, job: str, wishes: Sequence[Wish]) -> None:
    headers = {"Content-Type": "text/csv; charset=UTF-8"}
    content = as_csv(wishes).encode()
    answer = await org.call("PUT", f"/jobs/ingest/{job}/batches", data=content, headers=headers, timeout=SLOW)
    if answer.status != 201:
        raise rest_error(answer.status, answer.json(), answer.retry_after)


# -- CSV


def uploads(wishes: Sequence[Wish], most: int = UPLOAD_BYTES) -> Iterator[Sequence[Wish]]:
    """The writes in parts that each make a CSV of at most `most` bytes."""
    start, size = 0, 0
    for place, wish in enumerate(wishes):
        # Every column of the part is in every row, at three bytes where it says nothing.
        wide = sum(len(cell.encode()) + len(name) + 6 for name, cell in cells(wish).items())
        if size + wide > most and place > start:
            yield wishes[start:place]
            start, size = place, 0
        size += wide
    if wishes[start:]:
        yield wishes[start:]


def as_csv(wishes: Sequence[Wish]) -> str:
    """The upload: a column for every field that any of them has; an empty cell leaves its field alone."""
    rows = [cells(wish) for wish in wishes]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def cells(wish: Wish) -> dict[str, str]:
    """A write's row, key first."""
    row = {key_column(wish): key_of(wish)}
    body = wish.body()
    for field in wish.write.references:
        ((name, value),) = body.pop(relationship(field)).items()
        row[f"{relationship(field)}.{name}"] = value
    return row | {name: _cell(value) for name, value in body.items()}


def key_column(wish: Wish) -> str:
    """The column that tells records apart."""
    return "Id" if wish.known else wish.mapping.external_id


def key_of(wish: Wish) -> str:
    """What stands in it."""
    return wish.write.record_id or wish.write.external_id


def _cell(value: Any) -> str:
    """Null and empty text clear a field; an empty cell would leave it."""
    if value is None or value == "":
        return NULL
    return str(value).lower() if isinstance(value, bool) else str(value)


def sayable(wish: Wish) -> bool:
    """Can CSV say this? The text `#N/A` would clear the field."""
    return NULL not in wish.write.fields.values()


# -- results


async def _collected(org: Session, job: str, wishes: Sequence[Wish]) -> list[Result]:
    column = key_column(wishes[0])
    done = {row[column]: row for row in await _file(org, job, "successfulResults")}
    failed = {row[column]: row for row in await _file(org, job, "failedResults")}
    return [await _result(org, wish, done, failed) for wish in wishes]


async def _file(org: Session, job: str, name: str) -> Iterator[Cells]:
    answer = await org.call("GET", f"/jobs/ingest/{job}/{name}", headers={"Accept": "text/csv"}, timeout=SLOW)
    if answer.status != 200:
        raise rest_error(answer.status, answer.json(), answer.retry_after)
    return csv.DictReader(io.StringIO(answer.body.decode(), newline=""))


async def _result(org: Session, wish: Wish, done: Mapping[str, Cells], failed: Mapping[str, Cells]) -> Result:
    key = key_of(wish)
    if key in done:
        return Written(done[key]["sf__Id"], None, done[key].get("sf__Created") == "true")
    if key not in failed:
        return TransientError("the bulk job ended without this record", code="UNPROCESSED")
    refused = collections.refusal(wish, error_of(failed[key]["sf__Error"]))
    return await collections.again_if_raced(org, wish, refused)


def error_of(told: str) -> dict[str, Any]:
    """`CODE:message:fields --` as a Collections result."""
    code, _, message = told.partition(":")
    return {"success": False, "errors": [{"statusCode": code, "message": message.removesuffix(":--"), "fields": []}]}
