"""HTTP as both adapters use it: one session, a deadline on every request, a bearer token renewed once when refused.

Promises: what the network does wrong is a TransientError; any status is an `Answer`, judged by the adapter's own table;
a refused token is renewed once however many callers hold it; no secret and no token is in an error or a log line.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from isthmus.codecs.exact import parse
from isthmus.config.errors import ConfigError, DecodeError, TransientError

DEADLINE_SECONDS = 20.0
CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Answer:
    """A response with any status; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON, fractions as Decimal; None where it is something else, as the HTML that gateways send."""
        try:
            return parse(self.body)
        except DecodeError:
            return None

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, from seconds or an HTTP date; None where the platform did not say."""
        return _seconds(self.headers.get("retry-after", ""))


def _seconds(told: str) -> float | None:
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


class Http:
    """A session that lives from `open` to `close`; `ca_file` (PEM) is trusted instead of the system's certificates."""

    def __init__(self, ca_file: Path | None = None) -> None:
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the session; ConfigError where the certificates cannot be read. Safe to call twice."""
        if self._session is not None:
            return
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=_trust(self._ca_file))
        deadline = aiohttp.ClientTimeout(total=DEADLINE_SECONDS)
        # A dummy jar: tokens say who we are, and a stale cookie must never say otherwise.
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=deadline, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def close(self) -> None:
        """Give the connections back; safe to call twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def request(self, method: str, url: str, **options: Any) -> Answer:
        """Any answer at all; TransientError where none came within 20 s. `url` is already percent-encoded."""
        if self._session is None:
            raise TransientError("the connection is not open", code="CLOSED")
        target = URL(url, encoded=True)
        try:
            # No redirects: the token is for this host alone.
            async with self._session.request(method, target, allow_redirects=False, **options) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, headers, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            reason = type(fault).__name__
            raise TransientError(f"{target.host} does not answer: {reason}", code="NETWORK") from fault


def _trust(ca_file: Path | None) -> ssl.SSLContext | bool:
    try:
        return True if ca_file is None else ssl.create_default_context(cafile=str(ca_file))
    except OSError as fault:
        raise ConfigError(f"{ca_file}: no certificates there: {fault}", hint="set ca_file to a PEM file") from fault


@dataclass(frozen=True, slots=True)
class Token:
    """What a login gave: where to call, and the token for it. `expires_at` is on the monotonic clock, None: unknown;
    `tenant` is the id of whose data it opens, where the login tells."""

    base: str
    value: str = field(repr=False)
    expires_at: float | None = None
    tenant: str = ""


class Tokens:
    """The token of now. However many ask at once, one login is under way; its failure is everybody's."""

    def __init__(self, login: Callable[[], Awaitable[Token]]) -> None:
        self._login = login
        self._held: Token | None = None
        self._flight: asyncio.Task[Token] | None = None

    async def current(self) -> Token:
        """A token that is not known to be dead; what `login` raises."""
        if self._held is not None and not _expired(self._held):
            return self._held
        if self._flight is None:
            self._flight = asyncio.create_task(self._fetch())
        # Shielded: one caller that gives up must not take the login from the others.
        return await asyncio.shield(self._flight)

    def refused(self, token: Token) -> None:
        """The platform no longer takes this token; says nothing about a newer one."""
        if self._held is token:
            self._held = None

    async def close(self) -> None:
        """End a login that is under way, forget the token."""
        flight, self._held = self._flight, None
        if flight is not None:
            flight.cancel()
            await asyncio.wait([flight])

    async def _fetch(self) -> Token:
        try:
            self._held = await self._login()
            return self._held
        finally:
            self._flight = None


def _expired(token: Token) -> bool:
    return token.expires_at is not None and time.monotonic() >= token.expires_at


async def call(http: Http, tokens: Tokens, method: str, path: str, **options: Any) -> Answer:
    """One API request with the token of now, repeated once with a new one after a 401; a second 401 is returned.

    The caller's headers are sent both times, so a write that is repeated still bears our name (salesforce.md §4.3).
    """
    headers = dict(options.pop("headers", None) or {})
    token = await tokens.current()
    answer = await _once(http, token, method, path, headers, options)
    if answer.status == 401:
        tokens.refused(token)
        answer = await _once(http, await tokens.current(), method, path, headers, options)
    return answer


async def _once(
    http: Http, token: Token, method: str, path: str, headers: Mapping[str, str], options: Mapping[str, Any]
) -> Answer:
    bearing = {**headers, "Authorization": f"Bearer {token.value}"}
    return await http.request(method, token.base + path, headers=bearing, **options)
