"""Making one row of two, as people do in Dynamics (dynamics.md §3.6).

Promises: the loser stays, deactivated, and points to the winner.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.config.mapping import SystemMapping
from isthmus.systems.dynamics.errors import web_api_error
from isthmus.systems.dynamics.requests import ACTIONS, tag
from isthmus.systems.dynamics.session import Session


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
