"""ends: the guard that keeps a mistake in one system from ending all records of another.

Promises: where more records of a system are to be deleted, deactivated, merged or unlinked within a time than is set,
none of those is: each is a dead letter, and its replay is the order to do it. What a person released, and what was let
pass before, is not counted again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import structlog

from isthmus.agents.deliver_calls import Attempt, Outcome
from isthmus.config.errors import PermanentError
from isthmus.tables.deliveries import ENDED, Deliveries
from isthmus.tables.golden import DesiredWrite
from isthmus.tables.unit import Unit

Came = Literal["written", "refused", "held"]
HINT = "look what deleted so many elsewhere; to have it done here too, replay these letters"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Most:
    """So many records may end in a system within so many seconds; each partition has its share, at least one."""

    records: int = 100
    seconds: float = 600.0


def ends(wish: DesiredWrite) -> bool:
    """Is it the end of a record?"""
    return wish.action in ("deactivate", "delete", "unlink", "merge")


def buried(wish: DesiredWrite) -> Came:
    """What merge hears of a wish that is a dead letter: the end of a record is not asked for again by itself."""
    return "held" if ends(wish) else "refused"


def let(
    unit: Unit, table: Deliveries, attempts: Sequence[Attempt], most: Most, now: float
) -> tuple[list[Attempt], list[Outcome]]:
    """The attempts that may be made, and what comes of those that may not."""
    new = [one for one in attempts if ends(one.wish) and not one.tried and not one.wish.released]
    if not new:
        return list(attempts), []
    times = [at for at in _times(unit, table) if at > now - most.seconds]
    share = max(1, math.ceil(most.records / unit.partitions))
    if len(times) + len(new) <= share:
        unit.put(table, ENDED, msgspec.json.encode([*times, *[now] * len(new)]).decode())
        return list(attempts), []
    system = new[0].wish.system
    text = (
        f"{len(times) + len(new)} {system} records were to end within {most.seconds:g} s, of one partition {share} may"
    )
    fault = PermanentError(text, code="TOO_MANY_DELETES", hint=HINT)
    log.critical("records are not ended", system=system, fault=text, hint=HINT)
    for one in new:
        unit.count(system, one.wish.entity, "delivery_held")
    return [one for one in attempts if one not in new], [Outcome(one, fault, called=False) for one in new]


def _times(unit: Unit, table: Deliveries) -> list[float]:
    """When records were let end."""
    kept = unit.get(table, ENDED)
    return msgspec.json.decode(kept, type=list[float]) if isinstance(kept, str) else []
