"""Reading and writing Dataverse rows by the Web API (dynamics.md §3.2).

Promises: an update never creates, a write may be repeated; a read answers for every id that it was asked for, with the
row's version as text that sorts as the environment's own order does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from isthmus.codecs.dynamics_delta import version_number
from isthmus.config.errors import ConflictError, PermanentError, PlatformError, TransientError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.dynamics.errors import DUPLICATE_KEY, web_api_error
from isthmus.systems.dynamics.session import Session
from isthmus.systems.http import Answer
from isthmus.systems.plain import chunks, moment, plain
from isthmus.systems.protocol import Row, Write, Written

IDS_A_REQUEST = 100
URL_BYTES = 15_000
ID_BYTES = 48
VERSION_DIGITS = 20
VERSION, CHANGED_AT = "versionnumber", "modifiedon"
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
IN_PARENTHESES = re.compile(r"\(([0-9a-f-]{36})\)", re.IGNORECASE)

Found = Mapping[str, Any]


# -- read


async def read(environment: Session, mapping: SystemMapping, record_ids: Sequence[str]) -> list[Row]:
    """The mapped columns of these rows, one Row an id in the order asked."""
    asked = [record_id for record_id in dict.fromkeys(record_ids) if GUID.fullmatch(record_id)]
    found: dict[str, Found] = {}
    for some in chunks(asked, _ids_a_request(mapping)):
        rows = await _pages(environment, query(mapping, some))
        found.update({str(row[mapping.primary_key]).lower(): row for row in rows})
    return [row(mapping, record_id, found.get(record_id.lower())) for record_id in dict.fromkeys(record_ids)]


def query(mapping: SystemMapping, record_ids: Sequence[str]) -> str:
    """The request for these GUIDs, below the API's root, percent-encoded."""
    listed = ",".join(f"'{record_id}'" for record_id in record_ids)
    condition = f"Microsoft.Dynamics.CRM.In(PropertyName='{mapping.primary_key}',PropertyValues=[{listed}])"
    return f"{collection(mapping)}?$select={select(mapping)}&$filter={quote(condition)}"


def select(mapping: SystemMapping) -> str:
    """The columns to read: the mapped ones, and what orders and dates a row."""
    return ",".join(dict.fromkeys((mapping.primary_key, *mapping.columns, VERSION, CHANGED_AT)))


def _ids_a_request(mapping: SystemMapping) -> int:
    """As many as fit a URL of 16 KB beside the columns."""
    return max(1, min(IDS_A_REQUEST, (URL_BYTES - len(select(mapping))) // ID_BYTES))


def collection(mapping: SystemMapping) -> str:
    """The entity set; PermanentError where the mapping names none."""
    if mapping.collection is None:
        raise PermanentError(
            f"dynamics {mapping.object} has no collection", code="UNMAPPED", hint="name it in the mapping"
        )
    return mapping.collection


async def _pages(environment: Session, path: str) -> list[Found]:
    page = await environment.get(path)
    rows: list[Found] = page["value"]
    while next_link := page.get("@odata.nextLink"):
        page = await environment.get(str(next_link).partition(f"/api/data/{environment.config.api_version}/")[2])
        rows += page["value"]
    return rows


def row(mapping: SystemMapping, record_id: str, found: Found | None) -> Row:
    """A row as a Row; None is one that is not there."""
    if found is None:
        return Row(record_id, exists=False, fields={})
    fields = {name: plain(found.get(name)) for name in mapping.columns}
    return Row(record_id, exists=True, fields=fields, version=version(found), changed_at=moment(found.get(CHANGED_AT)))


def version(found: Found) -> str | None:
    """A row's version, padded so that text sorts as numbers do; from the column, else from the ETag."""
    number = version_number(found)
    return str(number).zfill(VERSION_DIGITS) if number else None


# -- write


async def write(environment: Session, mapping: SystemMapping, wish: Write) -> Written:
    """Update by id, or upsert by the alternate key."""
    condition = _condition(wish)
    answer = await _send(environment, mapping, wish, condition)
    if wish.record_id is None and condition is None and _code(answer) == DUPLICATE_KEY:
        # Two upserts of a new key: the other one has created it by now (dynamics.md §3.2).
        answer = await _send(environment, mapping, wish, "*")
    if answer.status not in (200, 201, 204):
        raise _refusal(answer, wish)
    return _written(mapping, wish, answer)


def _condition(wish: Write) -> str | None:
    """The If-Match header: the version that must still be there, else any for an update, so that it never creates."""
    if not wish.if_version:
        return None if wish.record_id is None else "*"
    if not wish.if_version.isdecimal():
        raise ConflictError(f"{wish.if_version!r} is the version of no live row")
    return f'W/"{int(wish.if_version)}"'


async def _send(environment: Session, mapping: SystemMapping, wish: Write, condition: str | None) -> Answer:
    headers = {"Prefer": "return=representation"} | ({"If-Match": condition} if condition else {})
    select = f"$select={mapping.primary_key},{VERSION}"
    path = f"{_path(mapping, wish)}?{select}&tag={quote(environment.config.client_name, safe='')}"
    return await environment.call("PATCH", path, json=body(mapping, wish), headers=headers)


def _path(mapping: SystemMapping, wish: Write) -> str:
    if wish.record_id is not None:
        return f"{collection(mapping)}({quote(wish.record_id, safe='')})"
    value = wish.external_id.replace("'", "''")
    return f"{collection(mapping)}({mapping.external_id}='{quote(value, safe='')}')"


def body(mapping: SystemMapping, wish: Write) -> dict[str, Any]:
    """The columns to send; never the key that stands in the path."""
    key = mapping.primary_key if wish.record_id is not None else mapping.external_id
    return {name: value for name, value in wish.fields.items() if name != key}


def _written(mapping: SystemMapping, wish: Write, answer: Answer) -> Written:
    told = answer.json()
    found: Found = told if isinstance(told, dict) else {}
    named = IN_PARENTHESES.search(answer.headers.get("odata-entityid", ""))
    record_id = found.get(mapping.primary_key) or wish.record_id or (named[1] if named else None)
    if record_id is None:
        raise TransientError("Dynamics does not say which row it wrote", code="ANSWER")
    known = version({"@odata.etag": answer.headers.get("etag"), **found})
    return Written(str(record_id).lower(), known, created=answer.status == 201)


def _code(answer: Answer) -> str:
    return "" if answer.status < 400 else web_api_error(answer.status, answer.json()).code


def _refusal(answer: Answer, wish: Write) -> PlatformError:
    fault = web_api_error(answer.status, answer.json(), answer.retry_after)
    if wish.record_id is None and wish.if_version is None and isinstance(fault, ConflictError):
        # There is no row to read again: an upsert that only updates met one that was deleted meanwhile.
        return TransientError(str(fault), code=fault.code)
    return fault
