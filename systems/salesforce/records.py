"""Reading Salesforce records by REST (salesforce.md §4.6).

Promises: a read answers for every id that it was asked for, also for one that is no id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from isthmus.config.mapping import SystemMapping
from isthmus.systems.plain import chunks, moment, plain
from isthmus.systems.protocol import Row
from isthmus.systems.salesforce.session import Session

IDS_A_QUERY = 200
RECORD_ID = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Z]{3})?")
CHANGED_AT = "LastModifiedDate"

Found = Mapping[str, Any]


async def read(org: Session, mapping: SystemMapping, record_ids: Sequence[str]) -> list[Row]:
    """The mapped columns of these records, one Row an id in the order asked; deleted and merged ones do not exist."""
    asked = [record_id for record_id in dict.fromkeys(record_ids) if RECORD_ID.fullmatch(record_id)]
    found: dict[str, Found] = {}
    for some in chunks(asked, IDS_A_QUERY):
        found.update({record["Id"][:15]: record for record in await _query(org, soql(mapping, some))})
    return [row(mapping, record_id, found.get(record_id[:15])) for record_id in dict.fromkeys(record_ids)]


def soql(mapping: SystemMapping, record_ids: Sequence[str]) -> str:
    """The query for these ids, which are letters and digits only."""
    listed = ",".join(f"'{record_id}'" for record_id in record_ids)
    return f"SELECT {', '.join(columns(mapping))} FROM {mapping.object} WHERE Id IN ({listed})"


def columns(mapping: SystemMapping) -> list[str]:
    """What is read of a record, its id first."""
    return list(dict.fromkeys(("Id", *mapping.columns, CHANGED_AT)))


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
