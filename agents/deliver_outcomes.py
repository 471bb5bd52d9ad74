"""What came of a write: a report to merge, a place among the parked, or a dead letter.

Promises: every wish that merge counted as `delivery_intended` has one outcome in the ledger, `delivery_` written,
unchanged, superseded, parked or dead; a later one moves it. What of a wish is left for a second pass is one intent more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace

from isthmus.agents import deliver_parking as parking
from isthmus.agents.deliver_calls import Attempt, Outcome
from isthmus.agents.deliver_references import ask_to_be_found
from isthmus.agents.ends import Came, buried
from isthmus.codecs.arrival import Reread, native_key
from isthmus.codecs.change import Value
from isthmus.codecs.dead import dead_letter
from isthmus.codecs.frames import encode
from isthmus.codecs.linked import Report
from isthmus.codecs.translation import Refused
from isthmus.config.errors import AuthError, ConflictError, MissingReference, PlatformError, TransientError
from isthmus.config.mapping import Mappings
from isthmus.systems.protocol import Written
from isthmus.tables.breaker import Limits
from isthmus.tables.deliveries import Deliveries, Parked, Patience, Tried
from isthmus.tables.golden import DesiredWrite
from isthmus.tables.unit import Unit

TRIED_KEPT = 20


@dataclass(frozen=True, slots=True)
class Target:
    """A system that is written to, and how patient we are with it."""

    system: str
    table: Deliveries
    mappings: Mappings
    patience: Patience
    limits: Limits


def settle(unit: Unit, target: Target, outcome: Outcome, now: float, *, counts: bool) -> None:
    """Record an outcome. `counts`: a failure counts as an attempt; a probe's does not, for it says nothing of its write."""
    wish, system = outcome.attempt.wish, target.system
    match outcome.answer:
        case Written() as written:
            wish = _without(unit, system, wish, outcome.refused)
            version = wish.known_version if wish.action == "delete" else written.version
            report(unit, wish, "written", written.record_id, version)
            unit.count(system, wish.entity, "delivery_written")
            if outcome.later is not None:
                _second_pass(unit, target, outcome.later, now)
        case ConflictError():
            _read_again(unit, system, wish, target.mappings)
            report(unit, wish, "refused", wish.native_id, wish.known_version)
            unit.count(system, wish.entity, "delivery_superseded")
            unit.count(system, wish.entity, "delivery_conflicts")
        case (TransientError() | AuthError()) as fault if not _hopeless(outcome.attempt, fault, target, now, counts):
            failed = _failed(outcome.attempt, fault, now, counts)
            wait = target.patience.wait(wish.canonical, failed.before or 1, fault.retry_after)
            park(unit, target, failed, now + wait, str(fault))
            if isinstance(fault, MissingReference):
                ask_to_be_found(unit, wish, target.mappings.entities[wish.entity])
            unit.count(system, wish.entity, "delivery_retries")
        case fault:
            _bury(unit, system, outcome.attempt, fault)
            report(unit, wish, buried(wish), wish.native_id, None)
            unit.count(system, wish.entity, "delivery_dead")


def _second_pass(unit: Unit, target: Target, wish: DesiredWrite, now: float) -> None:
    """What a record points at is not there yet: it is tried again, for as long as a write may wait."""
    why = "what it points at is not there yet"
    ask_to_be_found(unit, wish, target.mappings.entities[wish.entity])
    attempt = Attempt(wish, 1, (Tried(now, MissingReference.code, why),))
    park(unit, target, attempt, now + target.patience.wait(wish.canonical, 1, None), why)
    unit.count(target.system, wish.entity, "delivery_second_pass")
    unit.count(target.system, wish.entity, "delivery_intended")


def park(unit: Unit, target: Target, attempt: Attempt, due: float, why: str) -> None:
    """Let an attempt wait; whatever waited of its record was taken out before."""
    parking.park(unit, target.table, Parked(attempt.wish, attempt.before, due, why, attempt.tried))


def read_first(unit: Unit, system: str, wish: DesiredWrite, written: Written, mappings: Mappings) -> None:
    """Ask for a row that we made: it may be gone before any hint at it is followed."""
    target = mappings.entities[wish.entity].systems[system]
    holds: dict[str, Value] = {target.external_id: wish.canonical}
    ask = Reread(target.object, written.record_id, wish.correlation, written.version, holds=holds)
    unit.send(f"rereads.{system}", native_key(system, written.record_id), ask)


# -- patience


def _failed(attempt: Attempt, fault: PlatformError, now: float, counts: bool) -> Attempt:
    """The attempt with one failure more."""
    tried = (*attempt.tried, Tried(now, fault.code, str(fault)))
    kept = tried if len(tried) <= TRIED_KEPT else (tried[0], *tried[1 - TRIED_KEPT :])
    return Attempt(attempt.wish, attempt.before + counts, kept, attempt.due)


def _hopeless(attempt: Attempt, fault: PlatformError, target: Target, now: float, counts: bool) -> bool:
    failed = _failed(attempt, fault, now, counts)
    waits = isinstance(fault, MissingReference)  # what it points at may take its time
    return counts and target.patience.ends(0 if waits else failed.before, failed.tried[0].at, now)


def _bury(unit: Unit, system: str, attempt: Attempt, fault: PlatformError) -> None:
    """A dead letter with every attempt that was made."""
    wish = attempt.wish
    context: dict[str, Any] = {
        "system": system,
        "entity": wish.entity,
        "canonical": wish.canonical,
        "native_id": wish.native_id,
        "correlation": wish.correlation,
        "attempts": attempt.before + 1,
        "tried": [msgspec.structs.asdict(one) for one in attempt.tried],
    }
    way = {"topic": f"writes.{system}", "counted": f"{system}/{wish.entity}"}
    unit.bury(dead_letter(fault, stage="deliver", original=encode(wish), **way, **context))


def _without(unit: Unit, system: str, wish: DesiredWrite, refused: Refused) -> DesiredWrite:
    """What was written of a wish; each value that was left out becomes a dead letter, and stays told, so that it is not
    asked for again until something else of the record has to be written."""
    if not refused:
        return wish
    context = {"system": system, "entity": wish.entity, "canonical": wish.canonical, "correlation": wish.correlation}
    for fault in refused:
        letter: dict[str, Any] = {**context, "field": fault.field, "value": fault.value}
        unit.bury(dead_letter(fault, stage="deliver", original=encode(wish), **letter))
    unit.count(system, wish.entity, "fields_refused", len(refused))
    left = {fault.field for fault in refused}
    return replace(wish, fields={name: value for name, value in wish.fields.items() if name not in left})


# -- what merge hears


def report(unit: Unit, wish: DesiredWrite, outcome: Came, native_id: str | None, version: str | None) -> None:
    """Tell merge what a write came to."""
    told = Report(
        system=wish.system,
        native_id=native_id or "",
        canonical=wish.canonical,
        entity=wish.entity,
        rev=wish.revision,
        outcome=outcome,
        version=version,
        fields=wish.fields,
        action=wish.action,
    )
    unit.send("merge", wish.canonical.encode(), told)


def _read_again(unit: Unit, system: str, wish: DesiredWrite, mappings: Mappings) -> None:
    """Ask for the row; the nonce makes the answer news even where nothing differs, so that merge looks again."""
    object_ = mappings.entities[wish.entity].systems[system].object
    ask = Reread(object_, wish.native_id or "", wish.correlation, nonce=f"{wish.canonical}/{wish.revision}")
    unit.send(f"rereads.{system}", native_key(system, wish.native_id or ""), ask)
