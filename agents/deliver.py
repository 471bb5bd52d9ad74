"""deliver: brings a record of one system to its golden value by an upsert, and reports to merge what came of it.

Promises: a repeat does no harm; the newest wish of a record replaces older ones; what fails for now is parked in a table
with its due time, so a restart forgets nothing and other records are not held up; what fails for good is a dead letter.
A target that fails too often is not called any more until a probe is answered (tables/breaker.py); all that is meant for
it waits in Kafka meanwhile, as does what its limits leave no room for (tables/budgets.py). A write that met another
version than expected is not forced: the record is read again and merge decides anew. A value that cannot be said in the
system is left out of the write and is a dead letter of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import msgspec
import structlog

from isthmus.agents.allowance import Allowance
from isthmus.agents.deliver_budget import afford
from isthmus.agents.deliver_calls import Attempt, attempt_of, call_of, carry_out
from isthmus.agents.deliver_outcomes import Target, park, read_first, report, settle
from isthmus.agents.deliver_parking import adopt, first_due, lift, take
from isthmus.agents.deliver_runaways import stop
from isthmus.agents.deliver_withdrawals import withdraw
from isthmus.agents.ends import Most, buried, let
from isthmus.codecs.audit import CONTENT_TYPE, audit
from isthmus.codecs.dead import dead_letter
from isthmus.codecs.frames import Elements
from isthmus.codecs.limits import Use
from isthmus.codecs.translation import Translations
from isthmus.config.mapping import Mappings
from isthmus.systems.protocol import System, Written
from isthmus.tables.breaker import Breaker, Limits
from isthmus.tables.deliveries import GATE, Patience, breaker_of, deliveries, gate
from isthmus.tables.golden import DesiredWrite
from isthmus.tables.stage import Batch, Input, Stage
from isthmus.tables.unit import Record, Unit

log = structlog.get_logger()
WAITS = "its target is not called now"


def stage(
    system: System,
    mappings: Mappings,
    patience: Patience,
    limits: Limits | None = None,
    most: Most | None = None,
    hinted: bool = False,
    clock: Callable[[], float] = time.time,
    allowance: Allowance | None = None,
) -> Stage:
    """The stage of one system. `most`: how many records may end there; `hinted`: it only hints at changes, and a hint at
    a row that is gone says nothing; `clock`: epoch seconds, where no tick tells the time; `allowance`: whether it may
    call the system."""
    topic = f"writes.{system.name}"
    target = Target(system.name, deliveries(system.name), mappings, patience, limits or Limits())
    translations, allowance = Translations(mappings), allowance or Allowance(system)

    async def fold(unit: Unit, batches: Sequence[Batch]) -> None:
        tick = max((time for batch in batches if batch.topic == "tick" for time in batch.elements), default=None)
        now = clock() if tick is None else tick
        wishes = [wish for batch in batches if batch.topic == topic for wish in batch.elements]
        wishes = withdraw(unit, target, wishes)
        before = _breaker(unit, target)
        attempts, breaker = plan(unit, target, wishes, before.at(now), now, ticked=tick is not None)
        attempts = afford(unit, target, attempts, allowance, now)
        attempts, round_ = stop(unit, system.name, attempts, now)
        attempts, held = let(unit, target.table, attempts, most or Most(), now)
        began = clock()
        outcomes = round_ + held + await carry_out(system, mappings, translations, attempts)
        took = max(0.0, clock() - began)
        now += took  # a pause begins when the target was heard, or nobody was
        probing = breaker.state == "half_open"
        for outcome in outcomes:
            settle(unit, target, outcome, now, counts=not probing)
            if hinted and outcome.attempt.wish.native_id is None and isinstance(outcome.answer, Written):
                read_first(unit, system.name, outcome.attempt.wish, outcome.answer, mappings)
        breaker = breaker.heard(call_of(outcomes)._replace(took=took), now, target.limits)
        _keep(unit, target, before, breaker, now)
        unit.due = breaker.next(first_due(unit, target.table), target.limits)

    def bury(unit: Unit, raw: bytes, fault: Exception) -> None:
        unit.bury(
            dead_letter(fault, stage="deliver", original=raw, system=system.name, **_died(unit, system.name, raw))
        )

    inputs = (Input(topic, Elements(DesiredWrite)),)
    return Stage(f"deliver-{system.name}", inputs, (target.table,), fold, bury, ticks=True)


# -- what to do now


def plan(
    unit: Unit, target: Target, wishes: Iterable[DesiredWrite], breaker: Breaker, now: float, *, ticked: bool
) -> tuple[list[Attempt], Breaker]:
    """What is to be tried now: what was parked and is due, if the time has come to look, and the newest wish of each
    record; what the breaker does not let through is parked. The breaker knows afterwards what it let through."""
    room = breaker.room(now, target.limits)
    due, left = take(unit, target.table, now, room.parked) if ticked else ([], True)
    breaker = breaker.took(len(due), now, target.limits, left=left)
    attempts = {parked.write.canonical: attempt_of(parked) for parked in due}
    for wish in wishes:
        _replace(unit, target, attempts, wish)
    chosen = list(attempts.values())
    if room.most is None:
        return chosen, breaker
    for attempt in chosen[room.most :]:
        park(unit, target, attempt, attempt.due or now, breaker.reason or WAITS)
    return chosen[: room.most], breaker


def _replace(unit: Unit, target: Target, attempts: dict[str, Attempt], wish: DesiredWrite) -> None:
    """A newer wish of a record takes the place of an older one, also where that is parked."""
    known = attempts.get(wish.canonical)
    if known is None and (parked := lift(unit, target.table, wish.canonical)):
        known = attempt_of(parked)
    if known is None:
        attempts[wish.canonical] = Attempt(wish)
        return
    unit.count(target.system, known.wish.entity, "delivery_superseded")
    newer = wish.revision >= known.wish.revision
    newest = Attempt(wish, due=known.due) if newer else known
    use: Use = "batch" if wish.use == known.wish.use == "batch" else "interactive"
    attempts[wish.canonical] = replace(newest, wish=msgspec.structs.replace(newest.wish, use=use))


# -- the breaker


def _breaker(unit: Unit, target: Target) -> Breaker:
    kept = unit.get(target.table, GATE)
    if kept is None:
        adopt(unit, target.table)
        unit.put(target.table, GATE, gate(Breaker()))
    return breaker_of(kept)


def _keep(unit: Unit, target: Target, before: Breaker, after: Breaker, now: float) -> None:
    """Remember it, and tell people of each transition."""
    if after != before:
        unit.put(target.table, GATE, gate(after))
    if after.state == before.state:
        return
    what = f"{target.system}: {before.state} to {after.state}" + (f": {after.reason}" if after.reason else "")
    told = audit("breaker", target.system, now, what, before=before.state, after=after.state, reason=after.reason)
    unit.publish(Record("audit", target.system.encode(), told.value(), [CONTENT_TYPE]))
    say = log.warning if after.state == "open" else log.info
    say("the circuit breaker moved", system=target.system, before=before.state, after=after.state, reason=after.reason)


def _died(unit: Unit, system: str, raw: bytes) -> dict[str, str]:
    """What a dead letter says of a wish, which merge hears of; a stranger's bytes were never intended."""
    try:
        wish = msgspec.json.decode(raw, type=DesiredWrite)
    except msgspec.MsgspecError:
        return {}
    if wish.system != system or wish.withdrawn:
        return {}
    report(unit, wish, buried(wish), wish.native_id, None)
    unit.count(wish.system, wish.entity, "delivery_dead")
    told = {"entity": wish.entity, "canonical": wish.canonical, "correlation": wish.correlation}
    return {"topic": f"writes.{wish.system}", "counted": f"{wish.system}/{wish.entity}", **told}
