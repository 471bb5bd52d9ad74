"""The org's Bulk API 2.0: ingest jobs by CSV and query jobs by pages (salesforce.md §4.7).

Promises: states, refusals and result files are those of the real API; records are written in chunks of 200, each like a
single write; a job takes as many looks at it as `org.job_looks` says, so nobody has to wait.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from isthmus.simulators.salesforce.bulk_csv import as_csv, cell_of, columns_of, error_of, known, values_of
from isthmus.simulators.salesforce.door import Handler, hand
from isthmus.simulators.salesforce.faults import Refused, refused
from isthmus.simulators.salesforce.hand import Hand
from isthmus.simulators.salesforce.ids import numbered
from isthmus.simulators.salesforce.org import SalesforceOrg
from isthmus.simulators.salesforce.schema import Object
from isthmus.simulators.salesforce.soql import understand
from isthmus.simulators.salesforce.store import Row

LARGEST_UPLOAD = 150_000_000
DELIMITERS = {"COMMA": ",", "TAB": "\t", "SEMICOLON": ";", "PIPE": "|"}
# Clients write these in several ways, and the real API takes all of them.
FILES = {"successfulresults": "successful", "failedresults": "failed", "unprocessedrecords": "unprocessed"}


@dataclass
class Job:
    """A job: what was asked, its state, what was uploaded, and its results."""

    id: str
    told: Mapping[str, Any]
    version: str
    by: Hand
    state: str
    looks: int
    content: str | None = None
    error: str = ""
    successful: list[Row] = field(default_factory=list)
    failed: list[Row] = field(default_factory=list)
    unprocessed: list[Row] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


class Bulk:
    """The handlers and the jobs."""

    def __init__(self, org: SalesforceOrg) -> None:
        self.org = org
        self.jobs: dict[str, Job] = {}

    def routes(self) -> list[tuple[str, str, Handler]]:
        """The routes below the API's root."""
        found: list[tuple[str, str, Handler]] = []
        for kind in ("ingest", "query"):
            found += [
                ("POST", f"/jobs/{kind}", self.create),
                ("GET", f"/jobs/{kind}/{{id}}", self.look),
                ("PATCH", f"/jobs/{kind}/{{id}}", self.move),
                ("DELETE", f"/jobs/{kind}/{{id}}", self.delete),
            ]
        return [
            *found,
            *((method, f"{path}/", handler) for method, path, handler in found),
            ("PUT", "/jobs/ingest/{id}/batches", self.upload),
            ("PUT", "/jobs/ingest/{id}/batches/", self.upload),
            ("GET", "/jobs/query/{id}/results", self.results),
            ("GET", "/jobs/ingest/{id}/{file}", self.file),
            ("GET", "/jobs/ingest/{id}/{file}/", self.file),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """A new job."""
        told = await request.json()
        ingest = "/jobs/ingest" in request.path
        operations = ("insert", "update", "upsert", "delete", "hardDelete") if ingest else ("query", "queryAll")
        if told.get("operation") not in operations:
            raise refused(400, "INVALIDOPERATION", f"Operation {told.get('operation')} is not supported")
        if ingest:
            self.org.object(told["object"])
            if told["operation"] == "upsert" and not told.get("externalIdFieldName"):
                raise refused(400, "INVALIDJOB", "External ID name is required for upsert")
        else:
            self._understood(told)
        job = Job(
            numbered("750", len(self.jobs) + 1),
            told,
            f"{request.match_info['version']}.0",
            hand(self.org, request),
            "Open" if ingest else "UploadComplete",
            self.org.job_looks,
        )
        self.jobs[job.id] = job
        return web.json_response(self._info(job))

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """The CSV, once."""
        job = self._job(request)
        content = await request.read()
        if job.state != "Open" or job.content is not None:
            raise refused(400, "INVALIDJOBSTATE", "Found multiple contents for job: only one upload is allowed")
        if len(content) > LARGEST_UPLOAD:
            raise refused(413, "EXCEEDEDQUOTA", "at most 150 MB a job")
        job.content = content.decode()
        return web.Response(status=201)

    async def move(self, request: web.Request) -> web.StreamResponse:
        """`{"state": "UploadComplete" | "Aborted"}`."""
        job, wanted = self._job(request), (await request.json()).get("state")
        if job.state in ("JobComplete", "Failed", "Aborted"):
            raise refused(400, "INVALIDJOBSTATE", "Aborting already Completed Job not allowed")
        if wanted not in ("UploadComplete", "Aborted"):
            raise refused(400, "INVALIDJOBSTATE", f"Job state must not be changed to {wanted}")
        job.state = wanted
        if wanted == "Aborted":
            job.unprocessed = list(self._records(job))
        return web.json_response(self._info(job))

    async def look(self, request: web.Request) -> web.StreamResponse:
        """How far a job is; looking moves it on."""
        job = self._job(request)
        if job.state in ("UploadComplete", "InProgress"):
            job.looks -= 1
            job.state = "InProgress"
            if job.looks < 0:
                self._work(job)
        return web.json_response(self._info(job))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Forget a job."""
        job = self._job(request)
        if job.state not in ("JobComplete", "Failed", "Aborted"):
            raise refused(400, "INVALIDJOBSTATE", "Only finished jobs can be deleted")
        del self.jobs[job.id]
        return web.Response(status=204)

    # -- results

    async def file(self, request: web.Request) -> web.StreamResponse:
        """successfulResults, failedResults, unprocessedrecords."""
        job, name = self._job(request), FILES.get(request.match_info["file"].lower())
        if name is None:
            raise refused(404, "NOT_FOUND", "The requested resource does not exist")
        rows: list[Row] = getattr(job, name)
        extra = {"successful": ("sf__Id", "sf__Created"), "failed": ("sf__Id", "sf__Error")}.get(name, ())
        columns = (*extra, *columns_of(job.content or ""))
        return as_csv(columns, rows)

    async def results(self, request: web.Request) -> web.StreamResponse:
        """A page of a query's rows, with `Sforce-Locator` for the next."""
        job = self._job(request)
        if job.state != "JobComplete":
            raise refused(400, "INVALIDJOBSTATE", "the job is not complete")
        if f"{request.match_info['version']}.0" != job.version:
            raise refused(409, "VERSION_MISMATCH", "a locator belongs to one API version")
        start = int(request.query.get("locator", "0"))
        size = min(int(request.query.get("maxRecords", "50000")), self.org.page_rows or 50_000)
        fields = self._understood(job.told).fields or ()
        page = job.rows[start : start + size]
        more = str(start + size) if start + size < len(job.rows) else "null"
        headers = {"Sforce-Locator": more, "Sforce-NumberOfRecords": str(len(page))}
        return as_csv(fields, [{name: cell_of(row[name]) for name in fields} for row in page], headers)

    # -- work

    def _work(self, job: Job) -> None:
        if self.org.faults.failing_jobs:
            self.org.faults.failing_jobs -= 1
            job.state, job.error = "Failed", "InternalServerError : the job failed"
            job.unprocessed = list(self._records(job)) if job.content else []
            return
        if job.told["operation"] in ("query", "queryAll"):
            query = self._understood(job.told)
            job.rows = self.org.store.select(query.object, query.sql, query.values)
            job.state = "JobComplete"
            return
        one = self.org.object(job.told["object"])
        unknown = [name for name in columns_of(job.content or "") if not known(one, name)]
        if unknown:
            job.state, job.error = "Failed", f"InvalidBatch : Field name not found : {unknown[0]}"
            job.unprocessed = list(self._records(job))
            return
        for record in self._records(job):
            self._write(job, one, record)
        job.state = "JobComplete"

    def _write(self, job: Job, one: Object, record: Row) -> None:
        try:
            record_id, created = _written(job, one, values_of(one, record))
        except Refused as fault:
            job.failed.append({"sf__Id": record.get("Id", ""), "sf__Error": error_of(fault), **record})
        else:
            job.successful.append({"sf__Id": record_id, "sf__Created": str(created).lower(), **record})

    def _records(self, job: Job) -> Iterable[Row]:
        delimiter = DELIMITERS[job.told.get("columnDelimiter", "COMMA")]
        return csv.DictReader(io.StringIO(job.content or "", newline=""), delimiter=delimiter)

    def _understood(self, told: Mapping[str, Any]) -> Any:
        return understand(told.get("query", ""), self.org.objects.get, all_rows=told["operation"] == "queryAll")

    def _job(self, request: web.Request) -> Job:
        job = self.jobs.get(request.match_info["id"])
        if job is None:
            raise refused(404, "NOT_FOUND", "The requested resource does not exist")
        return job

    def _info(self, job: Job) -> dict[str, Any]:
        ingest = "query" not in job.told
        kind = "ingest" if ingest else "query"
        info = {
            "id": job.id,
            "operation": job.told["operation"],
            "object": job.told.get("object") or self._understood(job.told).object,
            "createdById": self.org.user_id,
            "createdDate": "2024-01-01T00:00:00.000+0000",
            "systemModstamp": "2024-01-01T00:00:00.000+0000",
            "state": job.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(job.version),
            "jobType": "V2Ingest" if ingest else "V2Query",
            "lineEnding": job.told.get("lineEnding", "LF"),
            "columnDelimiter": job.told.get("columnDelimiter", "COMMA"),
            "retries": 0,
            "totalProcessingTime": 0,
            "numberRecordsProcessed": len(job.successful) + len(job.failed) + len(job.rows),
        }
        if ingest:
            # Without a leading slash, as the real API has it.
            info["contentUrl"] = f"services/data/v{job.version}/jobs/{kind}/{job.id}/batches"
            info |= {"numberRecordsFailed": len(job.failed), "externalIdFieldName": job.told.get("externalIdFieldName")}
        return info | ({"errorMessage": job.error} if job.error else {})


def _written(job: Job, one: Object, values: dict[str, Any]) -> tuple[str, bool]:
    operation, by = job.told["operation"], job.by
    record_id = str(values.pop("Id", ""))
    match operation:
        case "insert":
            return by.insert(one.name, values), True
        case "upsert":
            key = job.told["externalIdFieldName"]
            value = record_id if key == "Id" else values.pop(key, None)
            if not value:
                raise refused(400, "MISSING_ARGUMENT", f"{key} not specified")
            return by.upsert(one.name, key, str(value), values)
        case "update":
            by.update(one.name, record_id, values)
            return record_id, False
    by.delete(one.name, record_id)
    return record_id, False
