"""Carrying out writes: what a wish is in the target's own names, and one call for many of them.

Promises: writes of different records go to the adapter together, which knows how its platform likes them; an error nobody
foresaw costs only the write it is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog
from msgspec.structs import replace as replace_wish

from isthmus.agents.deliver_references import apart, plain, pointing, singly
from isthmus.codecs.change import Value
from isthmus.codecs.translation import Refused, Translation, Translations
from isthmus.config.errors import AuthError, MissingReference, PermanentError, PlatformError, TransientError
from isthmus.config.mapping import Mappings, SystemMapping
from isthmus.systems.protocol import System, Write, Written
from isthmus.systems.singly import unforeseen
from isthmus.tables.breaker import Call
from isthmus.tables.deliveries import Parked, Tried
from isthmus.tables.golden import DesiredWrite

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A wish to carry out now, after so many attempts before, which failed like this. `due`: since when it waits, where
    it does."""

    wish: DesiredWrite
    before: int = 0
    tried: tuple[Tried, ...] = ()
    due: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt: an answer or an error, and which of its values could not be said there. `called`: the
    target was asked at all; `later`: what of it is to be written in a second pass."""

    attempt: Attempt
    answer: Written | PlatformError
    refused: Refused = ()
    called: bool = True
    later: DesiredWrite | None = None


def attempt_of(parked: Parked) -> Attempt:
    """What waited, to be tried again."""
    return Attempt(parked.write, parked.attempts, parked.tried, parked.due)


async def carry_out(
    system: System, mappings: Mappings, translations: Translations, attempts: Sequence[Attempt]
) -> list[Outcome]:
    """Carry out writes of different records, all of them in one call; the adapter knows how its platform likes it."""
    outcomes: list[Outcome] = []
    writes: list[tuple[Attempt, Write, Refused]] = []
    for attempt in attempts:
        entity = mappings.entities.get(attempt.wish.entity)
        target = None if entity is None else entity.systems.get(system.name)
        if entity is None or target is None:
            outcomes.append(Outcome(attempt, _unmapped(system.name, attempt.wish), called=False))
            continue
        bare = plain(attempt.wish, entity)
        write, refused = to_write(bare, target, translations.of(system.name, target.object))
        if bare is not attempt.wish:
            write = pointing(write, attempt.wish, entity, mappings)
        if attempt.wish.fields and len(refused) == len(attempt.wish.fields):
            outcomes.append(Outcome(attempt, _unsayable(refused), called=False))
        else:
            writes.append((attempt, write, refused))
    if not writes:
        return outcomes
    answers = await _answers(system, [write for _, write, _ in writes])
    given = [Outcome(one, answer, refused) for (one, _, refused), answer in zip(writes, answers, strict=True)]
    return outcomes + await _apart(system, mappings, translations, await _second(system, mappings, translations, given))


async def _apart(
    system: System, mappings: Mappings, translations: Translations, outcomes: Sequence[Outcome]
) -> list[Outcome]:
    """Of several references that a record still lacks, each alone: one that cannot be followed holds up no other."""
    wishes = {number: singly(one.attempt.wish, mappings) for number, one in enumerate(outcomes) if _misses(one)}
    came: dict[int, list[Outcome]] = {number: [] for number, parts in wishes.items() if parts}
    for turn in range(max((len(wishes[number]) for number in came), default=0)):
        asked = [number for number in came if turn < len(wishes[number])]
        attempts = [replace(outcomes[number].attempt, wish=wishes[number][turn]) for number in asked]
        answers = {one.attempt.wish.canonical: one for one in await carry_out(system, mappings, translations, attempts)}
        for number in asked:
            came[number].append(answers[wishes[number][turn].canonical])
    return [_summed(one, came[number]) if number in came else one for number, one in enumerate(outcomes)]


def _misses(outcome: Outcome) -> bool:
    return isinstance(outcome.answer, MissingReference)


def _summed(outcome: Outcome, parts: Sequence[Outcome]) -> Outcome:
    """What came of a record's references one by one: those that were written, and the others for later."""
    wish = outcome.attempt.wish
    written = [part.answer for part in parts if isinstance(part.answer, Written)]
    if not written:
        return outcome
    done = {n: v for part in parts if isinstance(part.answer, Written) for n, v in part.attempt.wish.fields.items()}
    left = {name: value for name, value in wish.fields.items() if name not in done}
    attempt = replace(outcome.attempt, wish=replace_wish(wish, fields=done))
    later = replace_wish(wish, fields=left, known_version=None) if left else None
    return Outcome(attempt, written[-1], outcome.refused, later=later)


async def _second(
    system: System, mappings: Mappings, translations: Translations, outcomes: Sequence[Outcome]
) -> list[Outcome]:
    """Write again what misses only what it may do without for now."""
    told = list(outcomes)
    halves: dict[int, tuple[DesiredWrite, DesiredWrite]] = {}
    for number, one in enumerate(outcomes):
        wish = one.attempt.wish
        if _misses(one) and (parts := apart(wish, mappings.entities[wish.entity])):
            halves[number] = parts
    attempts = [replace(outcomes[number].attempt, wish=now) for number, (now, _) in halves.items()]
    again = await carry_out(system, mappings, translations, attempts) if attempts else []
    answers = {one.attempt.wish.canonical: one for one in again}
    for number, (now, later) in halves.items():
        one = answers[now.canonical]
        if isinstance(one.answer, Written):
            told[number] = replace(one, later=replace_wish(later, native_id=one.answer.record_id))
        else:
            told[number] = replace(one, attempt=outcomes[number].attempt)
    return told


def _unmapped(system: str, wish: DesiredWrite) -> PermanentError:
    return PermanentError(f"{wish.entity} is not mapped for {system} any more", code="UNMAPPED")


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
    canonical id written on it, or taken from it."""
    refused: Refused = ()
    if translation is None:
        fields = {target.fields[name]: value for name, value in wish.fields.items()}
    else:
        fields, refused = translation.outward(wish.fields)
    if wish.native_id is not None:
        fields |= columns(wish, target)
    write = Write(target.object, wish.canonical, wish.native_id, fields, wish.known_version)
    delete = wish.action == "delete"
    return replace(write, delete=delete, correlation=wish.correlation, into=wish.into), refused


def columns(wish: DesiredWrite, target: SystemMapping) -> dict[str, Value]:
    """What is written of a known record besides its values."""
    match wish.action:
        case "delete" | "merge":
            return {}
        case "unlink":
            return {target.external_id: None}
        case "deactivate":
            return {**target.inactive, target.external_id: wish.canonical}
        case "reactivate":
            return {**target.active, target.external_id: wish.canonical}
    return {target.external_id: wish.canonical}


def call_of(outcomes: Sequence[Outcome]) -> Call:
    """What a call says of the target itself: what it refuses for a record's sake says that it is there."""
    answers = [outcome.answer for outcome in outcomes if outcome.called]
    failed = [one for one in answers if isinstance(one, TransientError | AuthError) and not one.of_record]
    waits = [one.retry_after for one in failed if one.retry_after is not None]
    return Call(len(answers), len(failed), str(failed[0]) if failed else "", max(waits, default=None))
