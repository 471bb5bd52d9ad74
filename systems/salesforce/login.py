"""Logging in to Salesforce without a person: by a client secret, or by an assertion signed with a private key.

Promises: secret and key are read anew at each login, so they may be changed while we run; neither is in an error or a
log line (salesforce.md §3).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from isthmus.codecs.salesforce_event import to18
from isthmus.config.errors import AuthError
from isthmus.systems.http import Answer, Http, Token
from isthmus.systems.salesforce.errors import login_error

TOKEN_PATH = "/services/oauth2/token"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# At most three minutes; some orgs refuse more (salesforce.md §3).
ASSERTION_SECONDS = 180
AUDIENCE = "https://login.salesforce.com"

ORG_OF_ID = re.compile(r"/id/(00D[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?)/")
ORG_OF_TOKEN = re.compile(r"(00D[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?)!")


@dataclass(frozen=True, slots=True)
class Secret:
    """A client secret, itself or in a file."""

    value: str | None = field(default=None, repr=False)
    file: Path | None = None

    def form(self, client_id: str) -> dict[str, str]:
        """What the token endpoint is asked."""
        secret = read(self.file) if self.file else self.value or ""
        return {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}


@dataclass(frozen=True, slots=True)
class Key:
    """An RSA key in a PEM file, and the user who has allowed us to act for them; `audience` as the org expects it."""

    file: Path
    username: str
    audience: str

    def form(self, client_id: str) -> dict[str, str]:
        """What the token endpoint is asked."""
        claims = {"iss": client_id, "sub": self.username, "aud": self.audience}
        expires = int(time.time()) + ASSERTION_SECONDS
        try:
            key = RSAKey.import_key(read(self.file))
            assertion = jwt.encode({"alg": "RS256"}, {**claims, "exp": expires}, key)
        except (JoseError, ValueError, TypeError) as fault:
            # Not the fault's own text, which may quote the key.
            hint = "give a private RSA key in PEM"
            raise AuthError(f"{self.file}: no key to sign with: {type(fault).__name__}", hint=hint) from None
        return {"grant_type": JWT_BEARER, "assertion": assertion}


Credential = Secret | Key


def read(file: Path) -> str:
    """A secret file's text without blanks around it; AuthError where it cannot be read."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise AuthError(f"{file} cannot be read: {type(fault).__name__}", hint="put the secret there") from None
    if not text:
        raise AuthError(f"{file} is empty", hint="put the secret there")
    return text


@dataclass(frozen=True, slots=True)
class Login:
    """A token, and who it makes us."""

    token: Token
    user_id: str


async def log_in(http: Http, url: str, client_id: str, credential: Credential) -> Login:
    """A token and the instance that it is for; AuthError where the org refuses, TransientError where it is not there."""
    answer = await http.request("POST", url + TOKEN_PATH, data=credential.form(client_id))
    if answer.status != 200:
        raise login_error(answer.status, answer.json(), answer.retry_after)
    return _login(answer)


def _login(answer: Answer) -> Login:
    told = answer.json()
    match told:
        case {"access_token": str(value), "instance_url": str(base)}:
            # `id` is `https://…/id/<organization>/<user>`.
            token = Token(base.rstrip("/"), value, tenant=_tenant(told))
            return Login(token, str(told.get("id", "")).rpartition("/")[2])
    raise AuthError("Salesforce's login answer has no token", code="LOGIN_ANSWER")


def _tenant(told: Mapping[str, Any]) -> str:
    """The org's id: in the address that tells who logged in (`…/id/<org>/<user>`), and before the `!` of most tokens."""
    named = ORG_OF_ID.search(str(told.get("id", ""))) or ORG_OF_TOKEN.match(told["access_token"])
    return to18(named[1]) if named else ""
