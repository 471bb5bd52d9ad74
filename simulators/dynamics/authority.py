"""The Entra authority's state: app registrations and the tokens they hold. No I/O.

Promises: a token is valid until its time or `expire_tokens`; refusals carry Entra's codes and wording.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from joserfc.jws import JWSRegistry

from isthmus.simulators.dynamics import faults

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Application:
    """An app registration and the application user it acts as."""

    client_id: str
    client_secret: str
    user_id: str


class _Assertions(JWSRegistry):
    """Assertions carry their certificate in the header."""

    max_header_length = 16_384

    def __init__(self) -> None:
        super().__init__(algorithms=["PS256", "RS256"])


class Refused(Exception):
    """Entra's refusal: `error` is OAuth's word, `number` the AADSTS code."""

    def __init__(self, status: int, error: str, number: int, message: str) -> None:
        super().__init__(f"AADSTS{number}: {message}")
        self.status = status
        self.error = error
        self.number = number

    def body(self, trace: str, at: datetime) -> dict[str, Any]:
        """As login.microsoftonline.com words it; `trace` stands for both ids."""
        stamp = at.strftime("%Y-%m-%d %H:%M:%SZ")
        text = f"{self} Trace ID: {trace} Correlation ID: {trace} Timestamp: {stamp}"
        ids = {"timestamp": stamp, "trace_id": trace, "correlation_id": trace}
        return {"error": self.error, "error_description": text, "error_codes": [self.number], **ids}


class Authority:
    """One tenant. `lifetime` of tokens is in seconds."""

    def __init__(self, tenant: str, clock: Callable[[], datetime], *, lifetime: int, seed: int) -> None:
        self.tenant = tenant
        self.lifetime = lifetime
        self.now = clock
        self._chance = random.Random(f"tokens/{seed}")
        self._applications: dict[str, Application] = {}
        self._secrets: dict[str, set[str]] = {}
        self._certificates: dict[str, list[str]] = {}
        self._tokens: dict[str, tuple[Application, datetime]] = {}

    def register(self, application: Application) -> None:
        """Let an application ask for tokens."""
        self._applications[application.client_id] = application
        self._secrets[application.client_id] = {application.client_secret}

    def add_secret(self, client_id: str, secret: str) -> None:
        """One more secret that is valid, as when one is to be renewed."""
        self._secrets[client_id].add(secret)

    def remove_secret(self, client_id: str, secret: str) -> None:
        """This secret is valid no more."""
        self._secrets[client_id].discard(secret)

    def add_certificate(self, client_id: str, pem: str) -> None:
        """One more certificate whose key may sign for the application."""
        self._certificates.setdefault(client_id, []).append(pem)

    def issue(self, form: dict[str, str]) -> str:
        """A token for a client_credentials request (dynamics.md §3.1), or Refused."""
        grant = form.get("grant_type")
        if not grant:
            message = "The request body must contain the following parameter: 'grant_type'."
            raise Refused(400, "invalid_request", 900144, message)
        if grant != "client_credentials":
            message = f"The app requested an unsupported grant type '{grant}'."
            raise Refused(400, "unsupported_grant_type", 70003, message)
        application = self._proven(form)
        scope = form.get("scope", "")
        if not scope.endswith("/.default"):
            message = (
                f"The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid."
            )
            raise Refused(400, "invalid_scope", 70011, message)
        return self.issue_to(application)

    def issue_to(self, application: Application) -> str:
        """A new token."""
        token = f"sim.{self._chance.getrandbits(256):064x}"
        self._tokens[token] = (application, self.now() + timedelta(seconds=self.lifetime))
        return token

    def expire_tokens(self) -> None:
        """No token issued so far is valid any more."""
        self._tokens.clear()

    def bearer(self, header: str | None) -> Application:
        """Whose token an Authorization header carries; Fault 401 where it is none that is valid."""
        kind, _, token = (header or "").partition(" ")
        application, until = self._tokens.get(token, (None, self.now()))
        if kind.lower() != "bearer" or application is None or until <= self.now():
            raise faults.Fault(401, "0x80044302", "The access token is missing, invalid or expired.")
        return application

    def _proven(self, form: dict[str, str]) -> Application:
        client_id = form.get("client_id", "")
        application = self._applications.get(client_id)
        if application is None:
            message = f"Application with identifier '{client_id}' was not found in the directory '{self.tenant}'."
            raise Refused(400, "unauthorized_client", 700016, message)
        if "client_assertion" in form:
            self._signed(client_id, form)
        elif form.get("client_secret", "") not in self._secrets[client_id]:
            message = f"Invalid client secret provided for the app '{client_id}'."
            raise Refused(401, "invalid_client", 7000215, message)
        return application

    def _signed(self, client_id: str, form: dict[str, str]) -> None:
        """An assertion signed by a registered certificate's key, for this tenant and not yet out of date."""
        if form.get("client_assertion_type") != ASSERTION:
            raise Refused(400, "invalid_request", 900144, "The client_assertion_type is not valid.")
        for pem in self._certificates.get(client_id, []):
            key = load_pem_x509_certificate(pem.encode()).public_key()
            public = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            try:
                claims = jwt.decode(form["client_assertion"], RSAKey.import_key(public), registry=_Assertions())
            except JoseError:
                continue
            self._current(client_id, claims.claims)
            return
        message = "Client assertion failed signature validation. The key was not found."
        raise Refused(401, "invalid_client", 700027, message)

    def _current(self, client_id: str, claims: dict[str, Any]) -> None:
        meant = str(claims.get("aud", "")).endswith(f"/{self.tenant}/oauth2/v2.0/token")
        ours = claims.get("iss") == claims.get("sub") == client_id and meant
        if not ours or float(claims.get("exp", 0)) <= time.time():
            message = "Client assertion is not within its valid time range, or not for this application."
            raise Refused(401, "invalid_client", 700024, message)
