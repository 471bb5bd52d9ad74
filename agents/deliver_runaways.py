"""Runaways: writes that merge found to go round between systems are not made, and people hear of it.

Promises: each is a dead letter `RUNAWAY`, a line in the log and a record on `audit`; its replay has merge tell the system
anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from isthmus.agents.deliver_calls import Attempt, Outcome
from isthmus.codecs.audit import CONTENT_TYPE, audit
from isthmus.config.errors import PermanentError
from isthmus.tables.unit import Record, Unit

HINT = "an automation in one of the systems answers our writes: make it stop, then replay this letter"

log = structlog.get_logger()


def stop(unit: Unit, system: str, attempts: Sequence[Attempt], now: float) -> tuple[list[Attempt], list[Outcome]]:
    """The attempts that may be made, and what comes of those that went round."""
    gone = [one for one in attempts if one.wish.runaway]
    if not gone:
        return list(attempts), []
    for one in gone:
        _tell(unit, system, one, now)
    text = "its values went round between the systems too often, so it is not written"
    fault = PermanentError(text, code="RUNAWAY", hint=HINT)
    return [one for one in attempts if not one.wish.runaway], [Outcome(one, fault, called=False) for one in gone]


def _tell(unit: Unit, system: str, attempt: Attempt, now: float) -> None:
    wish = attempt.wish
    fields = ", ".join(sorted(wish.fields))
    what = f"{system}: {wish.entity} {wish.canonical} goes round: {fields} is not written any more"
    told = audit("runaway", system, now, what, entity=wish.entity, canonical=wish.canonical, fields=fields)
    unit.publish(Record("audit", system.encode(), told.value(), [CONTENT_TYPE]))
    log.critical("a write goes round", system=system, entity=wish.entity, canonical=wish.canonical, hint=HINT)
