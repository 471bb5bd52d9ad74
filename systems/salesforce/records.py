"""Reading and writing Salesforce records by REST (salesforce.md §4.1, §4.6).

Promises: a write may be repeated; a read answers for every id that it was asked for, also for one that is no id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from isthmus.config.errors import PermanentError, PlatformError, TransientError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.http import Answer
from isthmus.systems.plain import chunks, moment, plain
from isthmus.systems.protocol import Row, Write, Written
from isthmus.systems.salesforce.errors import rest_error
from isthmus.systems.salesforce.session import Session

IDS_A_QUERY = 200
RECORD_ID = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Z]{3})?")
CHANGED_AT = "LastModifiedDate"

Found = Mapping[str, Any]


# -- read


async def read(org: Session, mapping: SystemMapping, record_ids: Sequence[str]) -> list[Row]:
    """The mapped columns of these records, one Row an id in the order asked; deleted and merged ones do not exist."""
    asked = [record_id for record_id in dict.fromkeys(record_ids) if RECORD_ID.fullmatch(record_id)]
    found: dict[str, Found] = {}
    for some in chunks(asked, IDS_A_QUERY):
        found.update({record["Id"][:15]: record for record in await _query(org, soql(mapping, some))})
    return [row(mapping, record_id, found.get(record_id[:15])) for record_id in dict.fromkeys(record_ids)]


def soql(mapping: SystemMapping, record_ids: Sequence[str]) -> str:
    """The query for these ids, which are letters and digits only."""
    columns = ", ".join(dict.fromkeys(("Id", *mapping.columns, CHANGED_AT)))
    listed = ",".join(f"'{record_id}'" for record_id in record_ids)
    return f"SELECT {columns} FROM {mapping.object} WHERE Id IN ({listed})"


async def _query(org: Session, query: str) -> list[Found]:
    page = await org.get(f"/query?q={quote(query)}")
    records: list[Found] = page["records"]
    # Wide rows make pages shorter than what was asked for.
    while not page.get("done", True):
        page = await org.get(page["nextRecordsUrl"])
        records += page["records"]
    return records


def row(mapping: SystemMapping, record_id: str, found: Found | None) -> Row:
    """A query's record as a Row; None is a record that is not there. Salesforce rows have no version."""
    if found is None:
        return Row(record_id, exists=False, fields={})
    fields = {name: plain(found.get(name)) for name in mapping.columns}
    return Row(record_id, exists=True, fields=fields, changed_at=moment(found.get(CHANGED_AT)))


# -- write


async def write(org: Session, mapping: SystemMapping, wish: Write) -> Written:
    """Update by id, or upsert by external id.

    `if_version` is not looked at: Salesforce has no such condition, and what is overwritten comes back as a change.
    """
    answer = await _send(org, mapping, wish)
    if wish.record_id is None and _raced(answer):
        # Two upserts of a new key: the other one has created it by now (salesforce.md §4.1).
        answer = await _send(org, mapping, wish)
    match answer.status, answer.json():
        case 200 | 201, {"id": str(record_id), **rest}:
            return Written(record_id, None, bool(rest.get("created", answer.status == 201)))
        case 204, _:
            return Written(wish.record_id or await _id_of(org, mapping, wish), None, created=False)
    raise _refusal(answer, wish)


async def _send(org: Session, mapping: SystemMapping, wish: Write) -> Answer:
    return await org.call(
        "PATCH",
        _path(mapping, wish),
        json=body(mapping, wish),
        headers={"Sforce-Call-Options": f"client={org.config.client_name}"},
    )


def _path(mapping: SystemMapping, wish: Write) -> str:
    base = f"/sobjects/{mapping.object}"
    if wish.record_id is not None:
        return f"{base}/{quote(wish.record_id, safe='')}"
    return f"{base}/{mapping.external_id}/{quote(wish.external_id, safe='')}"


def body(mapping: SystemMapping, wish: Write) -> dict[str, Any]:
    """The fields to send; never the key that stands in the path, which is refused in a body."""
    key = "Id" if wish.record_id is not None else mapping.external_id
    return {name: value for name, value in wish.fields.items() if name not in (key, "Id")}


def _raced(answer: Answer) -> bool:
    return answer.status == 400 and rest_error(answer.status, answer.json()).code == "DUPLICATE_VALUE"


async def _id_of(org: Session, mapping: SystemMapping, wish: Write) -> str:
    """The id behind an external id, for API versions that answer an upsert with nothing."""
    found = await org.get(f"{_path(mapping, wish)}?fields=Id")
    return str(found["Id"])


def _refusal(answer: Answer, wish: Write) -> PlatformError:
    told = answer.json()
    if answer.status == 300:
        count = len(told) if isinstance(told, list) else "several"
        return PermanentError(f"{count} {wish.object} records have this external id", code="MULTIPLE_MATCHES")
    fault = rest_error(answer.status, told, answer.retry_after)
    if answer.status in range(200, 300):
        return TransientError(f"Salesforce answers {answer.status} without an id", code="ANSWER")
    if answer.status == 404 and wish.record_id is None:
        return PermanentError(
            str(fault), code=fault.code, hint="run isthmus check: no such object or external id field"
        )
    return fault
