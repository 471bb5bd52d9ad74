"""Many writes of one table at once, by UpsertMultiple and UpdateMultiple (dynamics.md §3.6).

Promises: all or nothing, and nothing is said of a row, so afterwards the rows are read back. A version is told only where
the row then had the values that were written; `created` is not known, and so False.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isthmus.config.errors import PlatformError, TransientError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.dynamics import batch, records
from isthmus.systems.dynamics.errors import web_api_error
from isthmus.systems.dynamics.requests import ACTIONS, Objects, body, by_key, mapped, tag, traced
from isthmus.systems.dynamics.session import Session
from isthmus.systems.protocol import Write, Written

Told = Written | PlatformError


async def carry_out(environment: Session, objects: Objects, action: str, wishes: Sequence[Write]) -> list[Told] | None:
    """One answer each; None where one of them may be to blame for what was refused: nothing was done, and each has to be
    tried by itself."""
    mapping = mapped(objects, wishes[0].object)
    path = f"{records.collection(mapping)}/{ACTIONS}{action}?tag={tag(environment)}"
    sent = targets(objects, wishes)
    try:
        answer = await environment.call("POST", path, json=sent, headers=traced(wishes), timeout=batch.PATIENCE)
        if answer.status in (200, 204):
            return await read_back(environment, mapping, wishes)
    except PlatformError as met:
        return [met] * len(wishes)
    if answer.status in (401, 408, 429) or answer.status >= 500:
        return [web_api_error(answer.status, answer.json(), answer.retry_after)] * len(wishes)
    return None


def targets(objects: Objects, wishes: Sequence[Write]) -> dict[str, Any]:
    """The body of UpsertMultiple and UpdateMultiple; a key stands in the address alone, or creating fails
    (PowerPlatform-DataverseClient-Python#127)."""
    return {"Targets": [{**_addressed(objects, wish), **body(objects, wish, {})} for wish in wishes]}


def _addressed(objects: Objects, wish: Write) -> dict[str, Any]:
    mapping = mapped(objects, wish.object)
    kind = {"@odata.type": f"{ACTIONS}{mapping.object}"}
    if wish.record_id is not None:
        return {**kind, mapping.primary_key: wish.record_id}
    return {**kind, "@odata.id": by_key(mapping, wish.external_id)}


async def read_back(environment: Session, mapping: SystemMapping, wishes: Sequence[Write]) -> list[Told]:
    """What became of writes whose answer names no row."""
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
