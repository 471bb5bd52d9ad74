"""The change stream of a Salesforce org: one session after another, each from where the last one ended.

Promises: deliveries come in replay order and none is left out, whatever happens to a session; a replay id that the org
no longer knows is ReplayLost and never passed over (salesforce.md §1.4, §1.5). A delivery may come twice. The changes are
the same by either transport: the Pub/Sub API where the settings give its address, else CometD.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import stamina
import structlog

from isthmus.config.errors import AuthError, PermanentError, PlatformError, TransientError
from isthmus.systems.http import Token
from isthmus.systems.protocol import Delivery
from isthmus.systems.salesforce.cometd import CometdSession
from isthmus.systems.salesforce.heard import Heard, deliveries
from isthmus.systems.salesforce.position import FROM_NOW_ON, Position, Transport, position
from isthmus.systems.salesforce.pubsub import Calls, Schemas
from isthmus.systems.salesforce.pubsub_errors import ALLOWED
from isthmus.systems.salesforce.pubsub_session import PubSubSession
from isthmus.systems.salesforce.session import SalesforceConfig, Session

LONGEST_WAIT_SECONDS = 30.0
REOPEN_SECONDS = 0.5

log = structlog.get_logger()


class Listening(Protocol):
    """A session of either transport, from `open` to the first fault."""

    token: Token

    async def open(self) -> None:
        """Subscribe."""

    async def next(self) -> Sequence[Heard]:
        """The next answer's events, perhaps none; PlatformError once the session is over."""

    async def close(self) -> None:
        """Leave; safe at any time."""


def transport(config: SalesforceConfig) -> Transport:
    """How we listen."""
    return "cometd" if config.pubsub_url is None else "pubsub"


async def follow(org: Session, told: str | None, schemas: Schemas) -> AsyncGenerator[Delivery, None]:
    """Deliveries after a position (`-2`: all that is kept; None: from now on), for ever.

    With None, what happens while a session is lost before its first event is not delivered: there is nothing to go
    on from. Raises ReplayLost, AuthError, PermanentError; what passes by itself is waited for.
    """
    at = position(told, transport(org.config), org.config.channels).of((await org.tokens.current()).tenant)
    while True:
        session, heard = await _begin(org, at, schemas)
        try:
            while True:
                for delivery, after in deliveries(heard, at):
                    at = after
                    yield delivery
                heard = await session.next()
        except (TransientError, AuthError) as fault:
            if isinstance(fault, AuthError):
                org.tokens.refused(session.token)
            text = "a change stream was lost and is opened again"
            log.warning(text, system="salesforce", fault=str(fault), after=str(at))
        finally:
            await session.close()
        await asyncio.sleep(REOPEN_SECONDS)


async def _begin(org: Session, at: Position, schemas: Schemas) -> tuple[Listening, Sequence[Heard]]:
    """A session that has proven itself by its first answer, and that answer's events."""
    async for attempt in stamina.retry_context(
        _passing, attempts=None, timeout=None, wait_initial=0.2, wait_max=LONGEST_WAIT_SECONDS
    ):
        with attempt:
            try:
                return await _once(org, at, schemas)
            except AuthError:
                return await _once(org, at, schemas)
    raise AssertionError("retries without end")


def _passing(fault: Exception) -> bool | float:
    """Retry what may pass, after the wait that the platform asks for, if it does."""
    return isinstance(fault, TransientError) and (fault.retry_after or True)


async def _once(org: Session, at: Position, schemas: Schemas) -> tuple[Listening, Sequence[Heard]]:
    token = await org.tokens.current()
    session = _session(org.config, token, at, schemas)
    try:
        await session.open()
        return session, await session.next()
    except BaseException as fault:
        if isinstance(fault, AuthError):
            org.tokens.refused(token)
        await session.close()
        raise


def _session(config: SalesforceConfig, token: Token, at: Position, schemas: Schemas) -> Listening:
    if config.pubsub_url is None:
        return CometdSession(token, config.api_version, at)
    return PubSubSession(token, config.pubsub_url, at, schemas)


async def listens(org: Session, channel: str) -> PlatformError | None:
    """May we subscribe to a channel? The error where not."""
    token = await org.tokens.current()
    try:
        if org.config.pubsub_url is None:
            await _try_cometd(org.config, token, channel)
        else:
            await _try_pubsub(org.config.pubsub_url, token, channel)
    except PlatformError as fault:
        return fault
    return None


async def _try_cometd(config: SalesforceConfig, token: Token, channel: str) -> None:
    session = CometdSession(token, config.api_version, Position("cometd", {channel: FROM_NOW_ON}))
    try:
        await session.open()
    finally:
        await session.close()


async def _try_pubsub(url: str, token: Token, channel: str) -> None:
    calls = Calls(url, token)
    try:
        if not (await calls.topic(channel)).can_subscribe:
            raise PermanentError(f"{channel} takes no subscription from us", code="SUBSCRIBE", hint=ALLOWED)
    finally:
        await calls.close()
