"""Is a record that a query does not give deleted, or may we only not see it? Salesforce does not say which.

Promises: what counts as deleted is in the recycle bin, or among the deletions of the last days, or is not there although
nothing of its object can be hidden from us; all else may be hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote

from isthmus.config.errors import ReplayLost
from isthmus.config.mapping import SystemMapping
from isthmus.systems.plain import chunks
from isthmus.systems.salesforce.records import IDS_A_QUERY, RECORD_ID
from isthmus.systems.salesforce.scan import deleted
from isthmus.systems.salesforce.session import Session
from isthmus.systems.salesforce.stream import listens
from isthmus.systems.salesforce.tracking import channel_of

# An org tells deletions for 15 days (salesforce.md §4.7).
TOLD = timedelta(days=14)
# The objects whose records can be merged, and so have a master.
MERGED = frozenset({"Account", "Contact", "Lead", "Case"})


async def confirmed(org: Session, mapping: SystemMapping, record_ids: Sequence[str]) -> dict[str, str | None]:
    """Those of the ids whose records were deleted for sure, without what tells upper from lower case; each with the
    record that it was merged into, as long as it is in the recycle bin (salesforce.md §1.12)."""
    asked = [record_id for record_id in record_ids if RECORD_ID.fullmatch(record_id)]
    found: dict[str, str | None] = {}
    columns = "Id, MasterRecordId" if mapping.object in MERGED else "Id"
    for some in chunks(asked, IDS_A_QUERY):
        listed = ",".join(f"'{record_id}'" for record_id in some)
        query = f"SELECT {columns} FROM {mapping.object} WHERE IsDeleted = true AND Id IN ({listed})"
        page = await org.get(f"/queryAll?q={quote(query)}")
        found |= {str(record["Id"])[:15]: record.get("MasterRecordId") for record in page["records"]}
    if any(record_id[:15] not in found for record_id in asked):
        found = {**dict.fromkeys(await _purged(org, mapping)), **found}
    if any(record_id[:15] not in found for record_id in asked) and await _sees_all(org, mapping.object):
        found = {**dict.fromkeys(record_id[:15] for record_id in asked), **found}
    return found


async def _sees_all(org: Session, object: str) -> bool:
    """May we see every record of an object? The channel of an object alone, unlike others, takes no subscription from a
    user who may not (salesforce.md §1.6)."""
    return await listens(org, channel_of(object)) is None


async def _purged(org: Session, mapping: SystemMapping) -> set[str]:
    """What was deleted of late, also what is in no recycle bin any more; nothing where the org does not tell so much."""
    try:
        return {record_id[:15] for record_id in await deleted(org, mapping, org.now - TOLD)}
    except ReplayLost:
        return set()
