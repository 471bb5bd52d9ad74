"""Bulk API 2.0 jobs as both directions use them: make one, wait for it, give it up (salesforce.md §4.7).

Promises: a job that is given up is aborted, so that it cannot overtake what is written after it.
"""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import stamina

from isthmus.config.errors import PermanentError, PlatformError, TransientError
from isthmus.systems.salesforce.errors import rest_error
from isthmus.systems.salesforce.session import Session

Kind = Literal["ingest", "query"]
LOOK_SECONDS, LOOK_SECONDS_MOST = 0.5, 15.0
PATIENCE_SECONDS = 1800.0


class Unfinished(TransientError):
    """The job is still at it."""

    code = "JOB_UNFINISHED"


async def create(org: Session, kind: Kind, wanted: dict[str, Any]) -> str:
    """A new job's id."""
    answer = await org.call("POST", f"/jobs/{kind}", json=wanted, headers=org.marks)
    told = answer.json()
    match told:
        case {"id": str(job)} if answer.status == 200:
            return job
    raise rest_error(answer.status, told, answer.retry_after)


async def move(org: Session, kind: Kind, job: str, state: str) -> None:
    """Say that all is uploaded, or that nobody wants it any more."""
    answer = await org.call("PATCH", f"/jobs/{kind}/{job}", json={"state": state})
    if answer.status != 200:
        raise rest_error(answer.status, answer.json(), answer.retry_after)


async def finished(org: Session, kind: Kind, job: str, patience: float = PATIENCE_SECONDS) -> dict[str, Any]:
    """The job's info once it is complete or has failed; Unfinished after `patience` seconds."""
    async for attempt in stamina.retry_context(
        TransientError, attempts=None, timeout=patience, wait_initial=LOOK_SECONDS, wait_max=LOOK_SECONDS_MOST
    ):
        with attempt:
            return await _look(org, kind, job)
    raise AssertionError("retries end by a result or an error")


async def _look(org: Session, kind: Kind, job: str) -> dict[str, Any]:
    told = await org.get(f"/jobs/{kind}/{job}")
    match told.get("state"):
        case "JobComplete" | "Failed":
            return told
        case "Aborted":
            raise PermanentError(f"somebody aborted bulk job {job}", code="JOB_ABORTED")
    raise Unfinished(f"bulk job {job} is {told.get('state')}")


async def give_up(org: Session, kind: Kind, job: str) -> None:
    """Abort a job whose end we do not wait for; one that has ended meanwhile is left as it is."""
    with contextlib.suppress(PlatformError):
        await move(org, kind, job, "Aborted")
