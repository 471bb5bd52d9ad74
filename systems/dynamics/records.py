"""Reading Dataverse rows by the Web API (dynamics.md §3.2).

Promises: a read answers for every id that it was asked for, with the row's version as text that sorts as the
environment's own order does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from isthmus.codecs.dynamics_batch import BatchRequest
from isthmus.codecs.dynamics_delta import version_number
from isthmus.config.errors import PermanentError, PlatformError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.dynamics import batch
from isthmus.systems.dynamics.errors import web_api_error
from isthmus.systems.dynamics.session import Session
from isthmus.systems.plain import chunks, moment, plain
from isthmus.systems.protocol import Row

IDS_A_REQUEST = 100
CONFIRMED_AT_ONCE = 100
URL_BYTES = 15_000
VERSION_DIGITS = 20
VERSION, CHANGED_AT = "versionnumber", "modifiedon"
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

Found = Mapping[str, Any]


async def read(environment: Session, mapping: SystemMapping, record_ids: Sequence[str]) -> list[Row]:
    """The mapped columns of these rows, one Row an id in the order asked."""
    asked = [record_id for record_id in dict.fromkeys(record_ids) if GUID.fullmatch(record_id)]
    found: dict[str, Found] = {}
    for some in fitting(mapping, asked):
        rows = await pages(environment, query(mapping, some))
        found.update({str(row[mapping.primary_key]).lower(): row for row in rows})
    missing = [record_id for record_id in asked if record_id.lower() not in found]
    found.update(await _confirmed(environment, mapping, missing))
    return [row(mapping, record_id, found.get(record_id.lower())) for record_id in dict.fromkeys(record_ids)]


async def _confirmed(environment: Session, mapping: SystemMapping, missing: Sequence[str]) -> dict[str, Found]:
    """Of rows that a query did not give, those that are there after all. A query leaves out what we may not see without
    a word; asked for by its id, the platform says 403 for that and 404 for what is not there."""
    found: dict[str, Found] = {}
    for some in chunks(missing, CONFIRMED_AT_ONCE):
        asked = [
            BatchRequest("GET", f"{environment.root}{collection(mapping)}({one})?$select={select(mapping)}")
            for one in some
        ]
        for one, answer in zip(some, await batch.send(environment, asked), strict=True):
            if isinstance(answer, PlatformError):
                raise answer
            if answer.status == 200:
                found[one.lower()] = answer.json()
            elif answer.status != 404:
                raise web_api_error(answer.status, answer.json(), answer.retry_after)
    return found


def query(mapping: SystemMapping, values: Sequence[str], column: str | None = None) -> str:
    """The request for the rows with these values of a column (the primary key), below the API's root,
    percent-encoded."""
    listed = ",".join("'" + value.replace("'", "''") + "'" for value in values)
    condition = f"Microsoft.Dynamics.CRM.In(PropertyName='{column or mapping.primary_key}',PropertyValues=[{listed}])"
    return f"{collection(mapping)}?$select={select(mapping)}&$filter={quote(condition, safe='')}"


def select(mapping: SystemMapping) -> str:
    """The columns to read: the mapped ones, and what orders and dates a row."""
    return ",".join(dict.fromkeys((mapping.primary_key, *map(shown_as(mapping), mapping.columns), VERSION, CHANGED_AT)))


def shown_as(mapping: SystemMapping) -> Callable[[str], str]:
    """How the Web API calls a column in what it shows: a lookup as the id it holds."""
    lookups = mapping.lookups
    return lambda name: f"_{name}_value" if name in lookups else name


def fitting(mapping: SystemMapping, values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Values in portions that fit a URL of 16 KB beside the columns."""
    longest = max((len(quote(value, safe="")) for value in values), default=0) + len("%27%27%2C")
    return chunks(values, max(1, min(IDS_A_REQUEST, (URL_BYTES - len(select(mapping))) // longest)))


def collection(mapping: SystemMapping) -> str:
    """The entity set; PermanentError where the mapping names none."""
    if mapping.collection is None:
        raise PermanentError(
            f"dynamics {mapping.object} has no collection", code="UNMAPPED", hint="name it in the mapping"
        )
    return mapping.collection


async def pages(environment: Session, path: str) -> list[Found]:
    """Every row of a query."""
    page = await environment.get(path)
    rows: list[Found] = page["value"]
    while next_link := page.get("@odata.nextLink"):
        page = await environment.get(str(next_link).partition(environment.root)[2])
        rows += page["value"]
    return rows


def row(mapping: SystemMapping, record_id: str, found: Found | None) -> Row:
    """A row as a Row; None is one that is not there."""
    if found is None:
        return Row(record_id, exists=False, fields={})
    shown = shown_as(mapping)
    fields = {name: plain(found.get(shown(name))) for name in mapping.columns}
    return Row(record_id, exists=True, fields=fields, version=version(found), changed_at=moment(found.get(CHANGED_AT)))


def version(found: Found) -> str | None:
    """A row's version, padded so that text sorts as numbers do; from the column, else from the ETag."""
    number = version_number(found)
    return str(number).zfill(VERSION_DIGITS) if number else None
