"""Every row of a table, page by page (dynamics.md §3.2), and since a time those that changed or went.

Promises: a page is asked for when it is wanted; each row once. What went since a time is known only where the table and
the organisation are audited and we may read the audit: elsewhere a warning is logged and no deletion is told, because
Dataverse keeps no other trace of one (the delta feed hears of them as they happen, and `check` says which tables are
audited). `since` asks `modifiedon`, which a migration may set to the past.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from urllib.parse import quote

import structlog

from isthmus.config.errors import PermanentError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.dynamics import records
from isthmus.systems.dynamics.session import Session
from isthmus.systems.protocol import Row

DELETE = 3

log = structlog.get_logger()


async def scan(environment: Session, mapping: SystemMapping, since: str | None) -> AsyncGenerator[Row, None]:
    """Every row, or those since a time (RFC 3339)."""
    path = f"{records.collection(mapping)}?$select={records.select(mapping)}"
    if since is None:
        async for found in pages(environment, path):
            yield _row(mapping, found)
        return
    told: set[str] = set()
    async for found in pages(environment, f"{path}&$filter={quote(f'{records.CHANGED_AT} ge {since}')}"):
        row = _row(mapping, found)
        told.add(row.record_id)
        yield row
    async for record_id in _deleted(environment, mapping, since):
        if record_id not in told:
            told.add(record_id)
            yield Row(record_id, exists=False, fields={})


def _row(mapping: SystemMapping, found: records.Found) -> Row:
    return records.row(mapping, str(found[mapping.primary_key]).lower(), found)


async def pages(environment: Session, path: str) -> AsyncIterator[records.Found]:
    """The rows of a query, a page at a time."""
    prefer = {"Prefer": f"odata.maxpagesize={environment.config.page_rows}"}
    page = await environment.get(path, prefer)
    while True:
        for found in page["value"]:
            yield found
        link = page.get("@odata.nextLink")
        if not link:
            return
        page = await environment.get(str(link).partition(environment.root)[2], prefer)


async def _deleted(environment: Session, mapping: SystemMapping, since: str) -> AsyncIterator[str]:
    try:
        if not await audited(environment, mapping):
            log.warning("deletions are not known: the table is not audited", table=mapping.object, since=since)
            return
        condition = f"operation eq {DELETE} and objecttypecode eq '{mapping.object}' and createdon ge {since}"
        async for found in pages(environment, f"audits?$select=_objectid_value&$filter={quote(condition)}"):
            yield str(found["_objectid_value"]).lower()
    except PermanentError as fault:
        log.warning("deletions are not known: the audit may not be read", table=mapping.object, fault=str(fault))


async def audited(environment: Session, mapping: SystemMapping) -> bool:
    """Does the audit tell of this table's deletions?"""
    told = await environment.get(f"EntityDefinitions(LogicalName='{mapping.object}')?$select=IsAuditEnabled")
    setting = told.get("IsAuditEnabled")
    return bool(setting.get("Value")) if isinstance(setting, dict) else bool(setting)
