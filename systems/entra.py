"""Logging in to Microsoft Entra, as every Dynamics 365 platform wants it (dynamics.md §3.1).

Promises: a token is used until a minute before it ends; a refusal never holds what was sent.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from isthmus.config.errors import AuthError, PlatformError, TransientError
from isthmus.systems.http import Http, Token

EARLY_SECONDS = 60.0
LONGEST_MESSAGE = 500
RETRIED_STATUSES = {408, 429}


@dataclass(frozen=True, slots=True)
class Credentials:
    """An app registration; `authority` issues its tokens."""

    authority: str
    tenant: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str


async def login(http: Http, base: str, credentials: Credentials) -> Token:
    """A token for calls below `base`; AuthError where it is refused."""
    form = {
        "grant_type": "client_credentials",
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
        "scope": credentials.scope,
    }
    asked = time.monotonic()
    url = f"{credentials.authority}/{credentials.tenant}/oauth2/v2.0/token"
    answer = await http.request("POST", url, data=form)
    told = answer.json()
    if answer.status != 200:
        raise login_error(answer.status, told, answer.retry_after)
    return token(base, told, asked)


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
