"""The change stream of a Salesforce org: one CometD session after another, each from where the last one ended.

Promises: deliveries come in replay order and none is left out, whatever happens to a session; a replay id that the org
no longer knows is ReplayLost and never passed over (salesforce.md §1.4, §1.5). A delivery may come twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import groupby
from typing import Any

import orjson
import stamina
import structlog

from isthmus.codecs.salesforce_cometd import decode
from isthmus.config.errors import AuthError, DecodeError, PlatformError, ReplayLost, TransientError
from isthmus.systems.protocol import Delivery
from isthmus.systems.salesforce.cometd import CometdSession, Message
from isthmus.systems.salesforce.names import as_mapped
from isthmus.systems.salesforce.session import Session

FROM_NOW_ON = -1
EVERYTHING = -2
LONGEST_WAIT_SECONDS = 30.0
REOPEN_SECONDS = 0.5

log = structlog.get_logger()


async def follow(org: Session, position: str | None) -> AsyncIterator[Delivery]:
    """Deliveries after `position`, a replay id as text (`-2`: all that is kept; None: from now on), for ever.

    With None, what happens while a session is lost before its first event is not delivered: there is nothing to go
    on from. Raises ReplayLost, AuthError, PermanentError; what passes by itself is waited for.
    """
    at = replay_id(position)
    while True:
        session, events = await _begin(org, at)
        try:
            while True:
                for delivery in deliveries(events, at):
                    at = int(delivery.position)
                    yield delivery
                events = await session.next()
        except (TransientError, AuthError) as fault:
            if isinstance(fault, AuthError):
                org.tokens.refused(session.token)
            log.warning("a change stream was lost and is opened again", system="salesforce", fault=str(fault), after=at)
        finally:
            await session.close()
        await asyncio.sleep(REOPEN_SECONDS)


def replay_id(position: str | None) -> int:
    """The replay id that a position stands for; ReplayLost where it is none of ours."""
    if position is None:
        return FROM_NOW_ON
    try:
        number = int(position)
    except ValueError:
        number = 0
    if number > 0 or number in (FROM_NOW_ON, EVERYTHING):
        return number
    raise ReplayLost(f"{position!r} is no replay id", hint="re-read every record, then start again from -2")


async def _begin(org: Session, at: int) -> tuple[CometdSession, Sequence[Message]]:
    """A session that has proven itself by its first answer, and that answer's events."""
    async for attempt in stamina.retry_context(
        _passing, attempts=None, timeout=None, wait_initial=0.2, wait_max=LONGEST_WAIT_SECONDS
    ):
        with attempt:
            try:
                return await _once(org, at)
            except AuthError:
                return await _once(org, at)
    raise AssertionError("retries without end")


def _passing(fault: Exception) -> bool | float:
    """Retry what may pass, after the wait that the platform asks for, if it does."""
    return isinstance(fault, TransientError) and (fault.retry_after or True)


async def _once(org: Session, at: int) -> tuple[CometdSession, Sequence[Message]]:
    token = await org.tokens.current()
    session = CometdSession(token, org.config.api_version, org.config.channel, at)
    try:
        await session.open()
        return session, await session.next()
    except BaseException as fault:
        if isinstance(fault, AuthError):
            org.tokens.refused(token)
        await session.close()
        raise


def deliveries(events: Sequence[Message], at: int) -> Iterator[Delivery]:
    """An answer's events as deliveries; events that share a replay id are one, so that no position falls between them
    (salesforce.md §1.13). An event without a replay id keeps the position before it."""
    for told, group in groupby(events, key=_replay_id_of):
        at = told or at
        messages = list(group)
        yield _delivery(messages[0] if len(messages) == 1 else messages, str(at))


def _replay_id_of(event: Message) -> int | None:
    match event:
        case {"data": {"event": {"replayId": int(number)}}} if number > 0:
            return number
    return None


def _delivery(message: Any, position: str) -> Delivery:
    raw = orjson.dumps(message, default=_digits)
    try:
        return Delivery(tuple(as_mapped(change) for change in decode(message)), position, raw)
    except DecodeError as fault:
        return Delivery((), position, raw, fault)


def _digits(number: Any) -> orjson.Fragment:
    """A Decimal as it was written."""
    return orjson.Fragment(str(number))


async def listens(org: Session) -> PlatformError | None:
    """Can we subscribe? The error where not."""
    session = CometdSession(await org.tokens.current(), org.config.api_version, org.config.channel, FROM_NOW_ON)
    try:
        await session.open()
    except PlatformError as fault:
        return fault
    finally:
        await session.close()
    return None
