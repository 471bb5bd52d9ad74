"""The org's OAuth: tokens for a secret, for a signed assertion, for a password (salesforce.md §3).

Promises: what is refused is refused with the error and the words of the real org; no answer says when a token ends.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from isthmus.simulators.salesforce.org import SalesforceOrg

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
KINDS = ("client_credentials", "password", "refresh_token", JWT_BEARER)
AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
LONGEST_SECONDS = 300


class Authority:
    """`base_url` is known once the server listens; `instance_url` is what tokens name, None: the same."""

    def __init__(self, org: SalesforceOrg) -> None:
        self.org = org
        self.base_url = ""
        self._issued = 0

    async def token(self, request: web.Request) -> web.StreamResponse:
        """One login."""
        form = dict(await request.post())
        self.org.logins += 1
        trouble = self.org.faults.next(request.method, request.path)
        if trouble is not None and trouble.answer is not None:
            return web.json_response(trouble.answer.body, status=trouble.answer.status, headers=trouble.answer.headers)
        refusal = self._refusal(form, _basic(request))
        if refusal is not None:
            return web.json_response({"error": refusal[0], "error_description": refusal[1]}, status=400)
        return web.json_response(self._issue())

    def _refusal(self, form: Mapping[str, Any], basic: tuple[str, str] | None) -> tuple[str, str] | None:
        kind = form.get("grant_type")
        if kind not in KINDS:
            return "unsupported_grant_type", "grant type not supported"
        if kind == JWT_BEARER:
            return self._assertion(str(form.get("assertion", "")))
        client_id, secret = basic or (str(form.get("client_id", "")), str(form.get("client_secret", "")))
        if client_id != self.org.client_id:
            return "invalid_client_id", "client identifier invalid"
        if secret != self.org.client_secret:
            return "invalid_client", "invalid client credentials"
        if kind == "client_credentials" and self.org.run_as is None:
            return "invalid_grant", "no client credentials user enabled"
        named = (form.get("username"), str(form.get("password", "")))
        if kind == "password" and (named[0] != self.org.username or not named[1].startswith(self.org.password)):
            return "invalid_grant", "authentication failure"
        return None

    def _assertion(self, assertion: str) -> tuple[str, str] | None:
        try:
            claims = jwt.decode(assertion, RSAKey.import_key(self.org.public_key), algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            return "invalid_grant", "invalid assertion"
        now = time.time()
        if claims.get("iss") != self.org.client_id:
            return "invalid_client_id", "client identifier invalid"
        if claims.get("aud") not in (*AUDIENCES, self.base_url):
            return "invalid_grant", "audience is invalid"
        if not now < float(claims.get("exp", 0)) <= now + LONGEST_SECONDS:
            return "invalid_grant", "expired authorization code"
        if claims.get("sub") != self.org.username:
            return "invalid_grant", "user hasn't approved this consumer"
        return None

    def _issue(self) -> dict[str, str]:
        self._issued += 1
        token = f"{self.org.org_id[:15]}!AQ{self._issued:04d}.simulated"
        self.org.tokens.add(token)
        return {
            "access_token": token,
            "signature": "c2ltdWxhdGVk",
            "scope": "api",
            "instance_url": self.org.instance_url or self.base_url,
            "id": f"{self.base_url}/id/{self.org.org_id}/{self.org.user_id}",
            "token_type": "Bearer",
            "issued_at": "1700000000000",
        }


def _basic(request: web.Request) -> tuple[str, str] | None:
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind != "Basic":
        return None
    name, _, secret = base64.b64decode(value).decode().partition(":")
    return name, secret
