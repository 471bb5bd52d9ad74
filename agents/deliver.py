"""deliver: brings a record of one system to its golden value by an upsert, and reports to merge what came of it.

Promises: a repeat does no harm; the newest wish of a record replaces older ones; what fails for now is parked in a table
with its due time, so a restart forgets nothing and other records are not held up; what fails for good is a dead letter.
A write that met another version than expected is not forced: the record is read again and merge decides anew. A value that
cannot be said in the system is left out of the write and is a dead letter of its own once the rest is written.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from isthmus.codecs.arrival import Reread, native_key
from isthmus.codecs.change import Value
from isthmus.codecs.dead import dead_letter
from isthmus.codecs.frames import Elements, encode
from isthmus.codecs.linked import Report
from isthmus.codecs.translation import Refused, Translation, Translations
from isthmus.config.errors import AuthError, ConflictError, PermanentError, PlatformError, TransientError
from isthmus.config.mapping import Mappings, SystemMapping
from isthmus.systems.protocol import System, Write, Written
from isthmus.systems.singly import unforeseen
from isthmus.tables.deliveries import DUE, Deliveries, Parked, Patience, Tried, deliveries
from isthmus.tables.golden import DesiredWrite
from isthmus.tables.stage import Batch, Input, Stage
from isthmus.tables.unit import Unit

BACKLOG = 200

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A wish to carry out now, after so many attempts before, which failed like this."""

    wish: DesiredWrite
    before: int
    tried: tuple[Tried, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt: an answer or an error, and which of its values could not be said there."""

    attempt: Attempt
    answer: Written | PlatformError
    refused: Refused = ()


def stage(system: System, mappings: Mappings, patience: Patience, hinted: bool = False) -> Stage:
    """The stage of one system. `hinted`: it only hints at changes, and a hint at a row that is gone says nothing."""
    table, topic = deliveries(system.name), f"writes.{system.name}"
    translations = Translations(mappings)

    async def fold(unit: Unit, batches: Sequence[Batch]) -> None:
        now = max((time for batch in batches if batch.topic == "tick" for time in batch.elements), default=None)
        wishes = [wish for batch in batches if batch.topic == topic for wish in batch.elements]
        attempts = plan(unit, table, wishes, now)
        for outcome in await carry_out(system, mappings, translations, attempts):
            settle(unit, table, system.name, outcome, patience, mappings)
            if hinted and outcome.attempt.wish.native_id is None and isinstance(outcome.answer, Written):
                _read_first(unit, system.name, outcome.attempt.wish, outcome.answer, mappings)
        unit.due = _first_due(unit, table)

    def bury(unit: Unit, raw: bytes, fault: Exception) -> None:
        unit.bury(dead_letter(fault, stage="deliver", original=raw, system=system.name))

    return Stage(f"deliver-{system.name}", (Input(topic, Elements(DesiredWrite)),), (table,), fold, bury, ticks=True)


# -- what to do now


def plan(unit: Unit, table: Deliveries, wishes: Iterable[DesiredWrite], now: float | None) -> list[Attempt]:
    """The newest wish of each record, and what was parked and is due; a newer wish takes a parked one's place."""
    newest: dict[str, DesiredWrite] = {}
    for wish in wishes:
        if wish.canonical not in newest or wish.revision >= newest[wish.canonical].revision:
            newest[wish.canonical] = wish
    attempts = {canonical: Attempt(wish, 0) for canonical, wish in newest.items()}
    if now is not None:
        for parked in _due(unit, table, now):
            attempts.setdefault(parked.write.canonical, Attempt(parked.write, parked.attempts, parked.tried))
    return list(attempts.values())


def _due(unit: Unit, table: Deliveries, now: float) -> list[Parked]:
    """Parked writes whose time has come; notes when the next one is due."""
    found = (table.decode(raw) for key, raw in unit.views[table.name].scan() if not key.startswith(b"\xff"))
    waiting = sorted((parked for parked in found if isinstance(parked, Parked)), key=lambda parked: parked.due)
    due = [parked for parked in waiting if parked.due <= now][:BACKLOG]
    rest = waiting[len(due) :]
    unit.put(table, DUE, rest[0].due if rest else None)
    return due


def _first_due(unit: Unit, table: Deliveries) -> float | None:
    due = unit.get(table, DUE)
    return due if isinstance(due, float) else None


# -- do it


async def carry_out(
    system: System, mappings: Mappings, translations: Translations, attempts: Sequence[Attempt]
) -> list[Outcome]:
    """Carry out writes of different records, all of them in one call; the adapter knows how its platform likes it."""
    outcomes: list[Outcome] = []
    writes: list[tuple[Attempt, Write, Refused]] = []
    for attempt in attempts:
        target = mappings.entities[attempt.wish.entity].systems[system.name]
        write, refused = to_write(attempt.wish, target, translations.of(system.name, target.object))
        if attempt.wish.fields and len(refused) == len(attempt.wish.fields):
            outcomes.append(Outcome(attempt, _unsayable(refused)))
        else:
            writes.append((attempt, write, refused))
    if not writes:
        return outcomes
    answers = await _answers(system, [write for _, write, _ in writes])
    for (attempt, _, refused), answer in zip(writes, answers, strict=True):
        outcomes.append(Outcome(attempt, answer, refused))
    return outcomes


def _unsayable(refused: Refused) -> PermanentError:
    """Nothing of a wish can be said: it cannot be carried out at all."""
    return PermanentError("; ".join(map(str, refused)), code=refused[0].code, hint=refused[0].hint)


async def _answers(system: System, writes: Sequence[Write]) -> list[Written | PlatformError]:
    try:
        answers = await system.write(writes)
        if len(answers) != len(writes):
            raise RuntimeError(f"{len(writes)} writes have {len(answers)} answers")
        return answers
    except PlatformError as fault:
        return [fault] * len(writes)
    except Exception as fault:
        log.exception("writes failed in a way nobody foresaw", system=system.name, writes=len(writes))
        if len(writes) == 1:
            return [unforeseen(fault)]
    # One of them may be to blame: a repeat is harmless, and the others need not suffer.
    return [answer for write in writes for answer in await _answers(system, [write])]


def to_write(wish: DesiredWrite, target: SystemMapping, translation: Translation | None) -> tuple[Write, Refused]:
    """The wish in the platform's own names and values, and what cannot be said there; a known record also gets the
    canonical id written on it."""
    refused: Refused = ()
    if translation is None:
        fields = {target.fields[name]: value for name, value in wish.fields.items()}
    else:
        fields, refused = translation.outward(wish.fields)
    if wish.native_id is not None:
        fields[target.external_id] = wish.canonical
    return Write(target.object, wish.canonical, wish.native_id, fields, wish.known_version), refused


# -- what came of it


def settle(
    unit: Unit, table: Deliveries, system: str, outcome: Outcome, patience: Patience, mappings: Mappings
) -> None:
    """Record an outcome: a report to merge, a place among the parked, or a dead letter."""
    wish, answer = outcome.attempt.wish, outcome.attempt.before + 1
    match outcome.answer:
        case Written() as written:
            wish = _without(unit, system, wish, outcome.refused)
            _finish(unit, table, system, wish, "written", written.record_id, written.version)
        case ConflictError():
            _read_again(unit, system, wish, mappings)
            _finish(unit, table, system, wish, "refused", wish.native_id, wish.known_version)
        case (TransientError() | AuthError()) as fault if answer < patience.attempts:
            _park(unit, table, system, outcome.attempt, fault, patience)
        case fault:
            _bury(unit, system, outcome.attempt, fault)
            _finish(unit, table, system, wish, "refused", wish.native_id, None)
            unit.count(system, wish.entity, "delivery_dead")


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


def _finish(
    unit: Unit,
    table: Deliveries,
    system: str,
    wish: DesiredWrite,
    outcome: str,
    native_id: str | None,
    version: str | None,
) -> None:
    report = Report(
        system=system,
        native_id=native_id or "",
        canonical=wish.canonical,
        entity=wish.entity,
        rev=wish.revision,
        outcome="written" if outcome == "written" else "refused",
        version=version,
        fields=wish.fields,
    )
    unit.send("merge", wish.canonical.encode(), report)
    if unit.get(table, wish.canonical.encode()) is not None:
        unit.put(table, wish.canonical.encode(), None)
        unit.count(system, wish.entity, "delivery_parked", -1)
    unit.count(system, wish.entity, f"delivery_{outcome}")


def _read_again(unit: Unit, system: str, wish: DesiredWrite, mappings: Mappings) -> None:
    """Ask for the row; the nonce makes the answer news even where nothing differs, so that merge looks again."""
    object_ = mappings.entities[wish.entity].systems[system].object
    ask = Reread(object_, wish.native_id or "", wish.correlation, nonce=f"{wish.canonical}/{wish.revision}")
    unit.send(f"rereads.{system}", native_key(system, wish.native_id or ""), ask)


def _read_first(unit: Unit, system: str, wish: DesiredWrite, written: Written, mappings: Mappings) -> None:
    """Ask for a row that we made: it may be gone before any hint at it is followed."""
    target = mappings.entities[wish.entity].systems[system]
    holds: dict[str, Value] = {target.external_id: wish.canonical}
    ask = Reread(target.object, written.record_id, wish.correlation, written.version, holds=holds)
    unit.send(f"rereads.{system}", native_key(system, written.record_id), ask)


def _park(
    unit: Unit, table: Deliveries, system: str, attempt: Attempt, fault: PlatformError, patience: Patience
) -> None:
    count = attempt.before + 1
    due = time.time() + patience.wait(attempt.wish.canonical, count, fault.retry_after)
    tried = (*attempt.tried, Tried(time.time(), fault.code, str(fault)))
    parked = Parked(attempt.wish, count, due, str(fault), tried)
    if unit.get(table, attempt.wish.canonical.encode()) is None:
        unit.count(system, attempt.wish.entity, "delivery_parked")
    unit.put(table, attempt.wish.canonical.encode(), parked)
    first = _first_due(unit, table)
    unit.put(table, DUE, due if first is None else min(first, due))
    unit.count(system, attempt.wish.entity, "delivery_retries")
