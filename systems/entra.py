"""Logging in to Microsoft Entra, as every Dynamics 365 platform wants it (dynamics.md §3.1): msal speaks the protocol, over
the connections that everything else here uses.

Promises: a token is used until a minute before it ends; a refusal never holds what was sent. Files with secrets or a
certificate are read anew at each login, and each secret of a file is tried in turn, so that while it is being renewed
the old one and the new one do; nothing needs a restart.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import msal
import orjson

from isthmus.config.errors import AuthError, ConfigError, PlatformError, TransientError
from isthmus.systems.http import Answer, Http, Token
from isthmus.systems.secret_file import secrets_of, text_of

EARLY_SECONDS = 60.0
LONGEST_MESSAGE = 500
RETRIED_STATUSES = {408, 429}
THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Credentials:
    """An app registration; `authority` issues its tokens. It proves itself by `client_secret`, by a secret of
    `secret_file` (one a line, the newest first), or by `certificate_file` (PEM: private key and certificate)."""

    authority: str
    tenant: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str
    secret_file: Path | None = None
    certificate_file: Path | None = None

    def proofs(self) -> Iterator[Any]:
        """What msal takes as a credential, in the order to try; ConfigError where a file cannot be read."""
        if self.certificate_file is not None:
            pem = text_of(self.certificate_file)
            yield {"private_key": pem, "public_certificate": pem}
        elif self.secret_file is not None:
            yield from secrets_of(self.secret_file)
        else:
            yield self.client_secret


async def login(http: Http, base: str, credentials: Credentials) -> Token:
    """A token for calls below `base`; AuthError where it is refused."""
    url = urlsplit(credentials.authority)
    if url.scheme != "https" and url.hostname not in THIS_MACHINE:
        raise AuthError("a secret is told over https alone", code="INSECURE", hint="correct the authority")
    try:
        proofs = list(credentials.proofs())
    except ConfigError as fault:
        raise AuthError(str(fault), code="CREDENTIALS", hint="correct the file with the credentials") from fault
    for proof in proofs[:-1]:
        try:
            return await _login(http, base, credentials, proof)
        except AuthError:
            continue
    return await _login(http, base, credentials, proofs[-1])


async def _login(http: Http, base: str, credentials: Credentials, proof: Any) -> Token:
    asked = time.monotonic()
    way = _Way(http, asyncio.get_running_loop(), plain=credentials.authority.startswith("http:"))
    try:
        await asyncio.to_thread(_acquire, way, credentials, proof)
    except Exception as fault:
        # msal says nearly everything with ValueError; what the network or Entra said is judged below.
        if way.fault is None and way.answer is None:
            hint = "is the key whole, and is the authority Entra's?"
            raise AuthError(f"no login is possible: {type(fault).__name__}", code="CREDENTIALS", hint=hint) from None
    if way.fault is not None:
        raise way.fault
    if way.answer is None:
        raise AuthError("Entra was not asked for a token", code="LOGIN_ANSWER")
    if way.answer.status != 200:
        raise login_error(way.answer.status, way.answer.json(), way.answer.retry_after)
    return token(base, way.answer.json(), asked)


def _acquire(way: _Way, credentials: Credentials, proof: Any) -> None:
    """Blocking, in a thread. The token itself is read off the way, with what msal leaves out."""
    authority = f"{credentials.authority}/{credentials.tenant}".replace("http:", "https:", 1)
    app = msal.ConfidentialClientApplication(
        credentials.client_id,
        client_credential=proof,
        authority=authority,
        http_client=way,
        # It would ask Microsoft's public cloud whether a sovereign one is to be trusted.
        instance_discovery=False,
    )
    app.acquire_token_for_client(scopes=[credentials.scope])


@dataclass
class _Response:
    """An answer as msal reads it."""

    status_code: int
    text: str
    headers: dict[str, str]

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise RuntimeError(f"HTTP {self.status_code}")


class _Way:
    """msal's way to the network: from its thread back into the loop. Remembers the answer, or the fault where none came.
    `plain`: the authority is this machine's and speaks http, which msal will not name."""

    def __init__(self, http: Http, loop: asyncio.AbstractEventLoop, *, plain: bool) -> None:
        self._http = http
        self._loop = loop
        self._plain = plain
        self.answer: Answer | None = None
        self.fault: PlatformError | None = None

    def get(self, url: str, **_: Any) -> _Response:
        """Where an authority's endpoints are. Entra's are the same for every tenant, so nobody is asked."""
        tenant = url.removesuffix("/v2.0/.well-known/openid-configuration")
        endpoints = {"issuer": f"{tenant}/v2.0"}
        for name, path in (("authorization", "authorize"), ("token", "token"), ("device_authorization", "devicecode")):
            endpoints[f"{name}_endpoint"] = f"{tenant}/oauth2/v2.0/{path}"
        return _Response(200, orjson.dumps(endpoints).decode(), {})

    def post(self, url: str, headers: Any = None, params: Any = None, data: Any = None, **_: Any) -> _Response:
        """The request for a token."""
        target = url.replace("https:", "http:", 1) if self._plain else url
        sent = {**(headers or {}), "Content-Type": "application/x-www-form-urlencoded"}
        asking = self._http.request("POST", target, headers=sent, params=params or None, data=urlencode(data or {}))
        try:
            self.answer = asyncio.run_coroutine_threadsafe(asking, self._loop).result()
        except PlatformError as fault:
            self.fault = fault
            raise
        return _Response(self.answer.status, self.answer.body.decode(errors="replace"), dict(self.answer.headers))

    def close(self) -> None:
        """The connections are not ours."""


def token(base: str, told: Any, asked: float) -> Token:
    """The token of an answer to a request made at `asked` (monotonic)."""
    match told:
        case {"access_token": str(value), "expires_in": int() | str() | Decimal() as seconds}:
            lifetime = float(seconds)
            # A token that lives shorter than our margin is still good for half its life.
            return Token(base, value, asked + max(lifetime - EARLY_SECONDS, lifetime / 2))
    raise AuthError("Entra's answer has no token", code="LOGIN_ANSWER")


def login_error(status: int, body: Any, retry_after: float | None = None) -> PlatformError:
    """The error for a refused token request; never holds what was sent (dynamics.md §3.1)."""
    if status >= 500 or status in RETRIED_STATUSES:
        return TransientError(f"Entra answers {status}", code=f"HTTP_{status}", retry_after=retry_after)
    told = body if isinstance(body, dict) else {}
    code = str(told.get("error", status))
    # The first line says what is wrong; the rest is trace ids.
    reason = str(told.get("error_description", "")).partition("\r\n")[0].partition("\n")[0]
    return AuthError(f"Entra refuses the login: {code} {reason}"[:LONGEST_MESSAGE].rstrip(), code=code)
