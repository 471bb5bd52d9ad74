"""Making one row of two, as people do in Dynamics (dynamics.md §3.6).

Promises: the loser stays, deactivated, and points to the winner; what was merged already, or is gone, is merged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.config.errors import ConflictError, PermanentError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.dynamics import records
from isthmus.systems.dynamics.errors import web_api_error
from isthmus.systems.dynamics.requests import ACTIONS, Objects, mapped, tag
from isthmus.systems.dynamics.session import Session
from isthmus.systems.protocol import Write, Written


async def merge(
    environment: Session, mapping: SystemMapping, winner: str, loser: str, fields: Mapping[str, Any]
) -> None:
    """Make one row of two: the loser is deactivated and points to the winner, its children move (dynamics.md §3.6).

    Only account, contact, lead and incident; PermanentError for others, ConflictError where one of them is gone.
    """
    kind = f"{ACTIONS}{mapping.object}"
    told = {
        "Target": {"@odata.type": kind, mapping.primary_key: winner},
        "Subordinate": {"@odata.type": kind, mapping.primary_key: loser},
        "UpdateContent": {"@odata.type": kind, **fields},
        "PerformParentingChecks": False,
    }
    answer = await environment.call("POST", f"Merge?tag={tag(environment)}", json=told)
    if answer.status not in (200, 204):
        raise web_api_error(answer.status, answer.json(), answer.retry_after)


async def carry_out(environment: Session, objects: Objects, wish: Write) -> Written:
    """Merge the row of a write into another one, whose values stay as they are. PermanentError where Dynamics refuses."""
    mapping, loser = mapped(objects, wish.object), str(wish.record_id)
    try:
        await merge(environment, mapping, str(wish.into), loser, {})
    except (ConflictError, PermanentError) as fault:
        if not await _merged(environment, mapping, loser):
            raise PermanentError(str(fault), code=fault.code, hint=fault.hint) from fault
    return Written(loser, None, created=False)


async def _merged(environment: Session, mapping: SystemMapping, row: str) -> bool:
    """A call that was answered and not heard is asked again: then it is done already."""
    answer = await environment.call("GET", f"{records.collection(mapping)}({row})?$select=merged")
    if answer.status not in (200, 404):
        raise web_api_error(answer.status, answer.json(), answer.retry_after)
    return answer.status == 404 or answer.json().get("merged") is True
