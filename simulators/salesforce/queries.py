"""SOQL over REST, page by page, and what was updated or deleted in a time (salesforce.md §4.6).

Promises: a page has at most `Sforce-Query-Options: batchSize` records, a cursor gives the rows of when it was opened.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from isthmus.simulators.salesforce.door import Handler
from isthmus.simulators.salesforce.faults import refused
from isthmus.simulators.salesforce.org import SalesforceOrg
from isthmus.simulators.salesforce.records import attributes
from isthmus.simulators.salesforce.soql import Query, understand
from isthmus.simulators.salesforce.store import Row

PAGE = 2000
BATCH_SIZE = re.compile(r"batchSize\s*=\s*(\d+)", re.I)
DELETED_DAYS, UPDATED_DAYS = 15, 30


class Queries:
    """The handlers, and the cursors that are open."""

    def __init__(self, org: SalesforceOrg) -> None:
        self.org = org
        self._cursors: dict[str, tuple[Query, list[Row], str]] = {}

    def routes(self) -> list[tuple[str, str, Handler]]:
        """The routes below the API's root."""
        return [
            *((("GET", f"/{way}{end}", self.query)) for way in ("query", "queryAll") for end in ("", "/")),
            ("GET", "/query/{cursor}", self.more),
            ("GET", "/queryAll/{cursor}", self.more),
            ("GET", "/sobjects/{object}/updated/", self.updated),
            ("GET", "/sobjects/{object}/updated", self.updated),
            ("GET", "/sobjects/{object}/deleted/", self.deleted),
            ("GET", "/sobjects/{object}/deleted", self.deleted),
        ]

    async def query(self, request: web.Request) -> web.StreamResponse:
        """The first page."""
        query = self.understood(request.query.get("q", ""), all_rows="/queryAll" in request.path)
        rows = self.rows(query)
        if query.fields is None:
            return web.json_response({"totalSize": len(rows), "done": True, "records": []})
        cursor = f"01g5g{len(self._cursors):010d}AAA"
        self._cursors[cursor] = (query, rows, request.path.rstrip("/"))
        return web.json_response(self._page(request, cursor, 0))

    async def more(self, request: web.Request) -> web.StreamResponse:
        """A further page, `…/query/01g…-2000`."""
        cursor, _, start = request.match_info["cursor"].partition("-")
        if cursor not in self._cursors or not start.isdecimal():
            raise refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return web.json_response(self._page(request, cursor, int(start)))

    def understood(self, text: str, *, all_rows: bool) -> Query:
        """A query's text understood."""
        return understand(text, self.org.objects.get, all_rows=all_rows)

    def rows(self, query: Query) -> list[Row]:
        """Its rows now."""
        return self.org.store.select(query.object, query.sql, query.values)

    def _page(self, request: web.Request, cursor: str, start: int) -> dict[str, Any]:
        query, rows, path = self._cursors[cursor]
        told = BATCH_SIZE.search(request.headers.get("Sforce-Query-Options", ""))
        size = min(max(int(told[1]), 200), PAGE) if told else PAGE
        size = min(size, self.org.page_rows or size)
        version = f"{request.match_info['version']}.0"
        page = [_shown(version, query, row) for row in rows[start : start + size]]
        done = start + size >= len(rows)
        more = {} if done else {"nextRecordsUrl": f"{path}/{cursor}-{start + size}"}
        if done:
            del self._cursors[cursor]
        return {"totalSize": len(rows), "done": done, **more, "records": page}

    # -- replication

    async def updated(self, request: web.Request) -> web.StreamResponse:
        """Ids of what was created or changed in a time."""
        start, end = self._window(request, UPDATED_DAYS)
        rows = self.org.rows(request.match_info["object"]).values()
        ids = [row["Id"] for row in rows if start <= _time(row["SystemModstamp"]) <= end]
        return web.json_response({"ids": ids, "latestDateCovered": _told(end)})

    async def deleted(self, request: web.Request) -> web.StreamResponse:
        """Ids of what was deleted in a time, purged or not."""
        start, end = self._window(request, DELETED_DAYS)
        times = self.org.deletions(request.match_info["object"])
        found = [
            {"id": record_id, "deletedDate": _told(_time(at))}
            for record_id, at in times.items()
            if start <= _time(at) <= end
        ]
        earliest = self._now() - timedelta(days=DELETED_DAYS)
        dates = {"earliestDateAvailable": _told(earliest), "latestDateCovered": _told(end)}
        return web.json_response({"deletedRecords": found, **dates})

    def _window(self, request: web.Request, days: int) -> tuple[datetime, datetime]:
        self.org.object(request.match_info["object"])
        try:
            start, end = (_time(request.query[name]) for name in ("start", "end"))
        except (KeyError, ValueError):
            raise refused(400, "MALFORMED_QUERY", "start and end are required, in ISO 8601") from None
        # Seconds are ignored (salesforce.md §4.6).
        start, end = start.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0)
        if start >= end:
            raise refused(400, "INVALID_REPLICATION_DATE", "startDate before endDate by more than one minute")
        if start < self._now() - timedelta(days=days, minutes=1):
            text = f"startDate before org's replication enabled date: at most {days} days back"
            raise refused(400, "INVALID_REPLICATION_DATE", text)
        return start, min(end, self._now() - timedelta(seconds=self.org.covered_lag))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(math.ceil(self.org.clock()), UTC)


def _shown(version: str, query: Query, row: Row) -> dict[str, Any]:
    values = {name: row[name] for name in query.fields or ()}
    return {"attributes": attributes(version, query.object, row["Id"]), **values}


def _time(told: str) -> datetime:
    # A bare `+` in a query string is a blank; strangers' clients send it so.
    return datetime.fromisoformat(told.replace(" ", "+")).astimezone(UTC)


def _told(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
