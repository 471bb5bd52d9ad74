"""Every record of an object, or all that changed or was deleted since a time (salesforce.md §4.6, §4.7).

Promises: a page at a time is held, however many records there are; each record comes once; deletions that the org can no
longer tell are ReplayLost, never passed over.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

from isthmus.codecs.change import Value
from isthmus.codecs.exact import parse
from isthmus.config.errors import PermanentError, PlatformError, ReplayLost, TransientError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.http import Answer
from isthmus.systems.plain import moment, plain
from isthmus.systems.protocol import Row
from isthmus.systems.salesforce import jobs
from isthmus.systems.salesforce.errors import rest_error
from isthmus.systems.salesforce.records import columns, row
from isthmus.systems.salesforce.session import SLOW, Session

# A query's page has 2,000 rows; beyond 25 pages a bulk job, whose pages are larger, needs fewer calls.
BULK = 50_000
ROWS_A_PAGE = 2000
ROWS_A_BULK_PAGE = 10_000
STAMP = "SystemModstamp"
# Seconds are ignored in getDeleted's times, and they have to be more than a minute apart.
SHORTEST = timedelta(minutes=2)
NUMBERS = {"int", "long", "double", "currency", "percent"}


async def scan(org: Session, mapping: SystemMapping, since: str | None, bulk: int = BULK) -> AsyncIterator[Row]:
    """Rows as they are now; deleted ones come last, `exists` False. `bulk`: from so many rows on by a bulk job. Why not by
    getUpdated: docs/adr/0008.

    What a transaction wrote before `since` and committed after it may be missed: let `since` overlap by some minutes.
    """
    where, gone = "", set[str]()
    if since is not None:
        where = f" WHERE {STAMP} >= {_text(_time(since))}"
    number = await _count(org, mapping, where)
    if since is not None:
        gone = await deleted(org, mapping, _time(since))
    found = _by_job(org, mapping, where) if number >= bulk else _by_query(org, mapping, where)
    async for one in found:
        gone.discard(one.record_id)
        yield one
    for record_id in gone:
        yield Row(record_id, exists=False, fields={})


def _time(since: str) -> datetime:
    told = moment(since)
    if told is None:
        raise PermanentError(f"{since!r} is no time", code="SINCE", hint="give it as 2026-01-31T12:00:00Z")
    return datetime.fromisoformat(told)


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


async def _count(org: Session, mapping: SystemMapping, where: str) -> int:
    told = await org.get(f"/query?q={quote(f'SELECT COUNT() FROM {mapping.object}{where}')}")
    return int(told["totalSize"])


# -- by query


async def _by_query(org: Session, mapping: SystemMapping, where: str) -> AsyncIterator[Row]:
    options = {"Sforce-Query-Options": f"batchSize={ROWS_A_PAGE}"}
    page = await org.get(f"/query?q={quote(_select(mapping, where))}", headers=options)
    while True:
        for record in page["records"]:
            yield row(mapping, str(record["Id"]), record)
        if page.get("done", True):
            return
        page = await org.get(page["nextRecordsUrl"], headers=options)


def _select(mapping: SystemMapping, where: str) -> str:
    return f"SELECT {', '.join(columns(mapping))} FROM {mapping.object}{where}"


# -- by job


async def _by_job(org: Session, mapping: SystemMapping, where: str) -> AsyncIterator[Row]:
    types = await _types(org, mapping)
    job = await _done(org, _select(mapping, where))
    locator = ""
    while locator != "null":
        answer = await _page(org, job, locator)
        for cells in csv.DictReader(io.StringIO(answer.body.decode(), newline="")):
            yield row(mapping, cells["Id"], {name: value_of(types.get(name), cells[name]) for name in cells})
        locator = answer.headers.get("sforce-locator", "null")


async def _done(org: Session, query: str) -> str:
    job = await jobs.create(org, "query", {"operation": "query", "query": query})
    try:
        info = await jobs.finished(org, "query", job)
    except BaseException:
        await jobs.give_up(org, "query", job)
        raise
    if info["state"] == "Failed":
        raise TransientError(f"bulk query job failed: {info.get('errorMessage')}", code="JOB_FAILED")
    return job


async def _page(org: Session, job: str, locator: str) -> Answer:
    asked = {"maxRecords": str(ROWS_A_BULK_PAGE)} | ({"locator": locator} if locator else {})
    answer = await org.call("GET", f"/jobs/query/{job}/results?{urlencode(asked)}", timeout=SLOW)
    if answer.status != 200:
        raise rest_error(answer.status, answer.json(), answer.retry_after)
    return answer


async def _types(org: Session, mapping: SystemMapping) -> dict[str, str]:
    """A field's type by its name: CSV tells texts only."""
    described = await org.get(f"/sobjects/{mapping.object}/describe")
    return {field["name"]: field["type"] for field in described["fields"]}


def value_of(kind: str | None, cell: str) -> Value:
    """A CSV cell as the query API's JSON has it."""
    if cell == "":
        return None
    if kind == "boolean":
        return cell == "true"
    return plain(parse(cell.encode())) if kind in NUMBERS else cell


# -- deletions


async def deleted(org: Session, mapping: SystemMapping, start: datetime) -> set[str]:
    """Ids of what was deleted since, purged from the recycle bin or not, also what was merged into another record."""
    first, now = min(start, org.now - SHORTEST), org.now
    asked = urlencode({"start": _iso(first), "end": _iso(now + timedelta(minutes=1))})
    try:
        told = await org.get(f"/sobjects/{mapping.object}/deleted/?{asked}")
    except PlatformError as fault:
        if fault.code in ("INVALID_REPLICATION_DATE", "EXCEEDED_ID_LIMIT"):
            raise _lost(mapping, start) from fault
        raise
    if datetime.fromisoformat(told["earliestDateAvailable"]) > start:
        raise _lost(mapping, start)
    covered = datetime.fromisoformat(told["latestDateCovered"])
    late = await _in_the_bin(org, mapping, covered) if covered < now else set()
    return late | {str(one["id"]) for one in told["deletedRecords"]}


async def _in_the_bin(org: Session, mapping: SystemMapping, start: datetime) -> set[str]:
    """What went to the recycle bin since; getDeleted lags behind transactions that run long."""
    query = f"SELECT Id FROM {mapping.object} WHERE IsDeleted = true AND {STAMP} >= {_text(start)}"
    page = await org.get(f"/queryAll?q={quote(query)}")
    found = {str(record["Id"]) for record in page["records"]}
    while not page.get("done", True):
        page = await org.get(page["nextRecordsUrl"])
        found |= {str(record["Id"]) for record in page["records"]}
    return found


def _lost(mapping: SystemMapping, start: datetime) -> ReplayLost:
    text = f"Salesforce no longer tells what {mapping.object} records were deleted since {_text(start)}"
    return ReplayLost(text, hint="scan all of them and compare: what is not there any more was deleted")


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S+00:00")
