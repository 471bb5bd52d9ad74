"""Logging in to Salesforce and calling its REST API (salesforce.md §3, §4).

Promises: calls go to the instance that the login named; one login however many callers; the secret stays in here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.codecs.salesforce_event import to18
from isthmus.config.errors import AuthError, TransientError
from isthmus.systems.http import Answer, Http, Token, Tokens, call
from isthmus.systems.salesforce.errors import login_error, rest_error

ORG_OF_ID = re.compile(r"/id/(00D[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?)/")
ORG_OF_TOKEN = re.compile(r"(00D[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?)!")


@dataclass(frozen=True, slots=True)
class SalesforceConfig:
    """How to reach an org. `login_url` is its My Domain; `api_version` as `60.0`; `client_name` marks our
    writes in change events. `channels` are the change channels; `pubsub_url` is where the Pub/Sub API is, None: listen by
    CometD."""

    login_url: str
    client_id: str
    client_secret: str = field(repr=False)
    api_version: str = "60.0"
    channels: tuple[str, ...] = ("/data/ChangeEvents",)
    client_name: str = "isthmus"
    pubsub_url: str | None = None


class Session:
    """An org that we are logged in to."""

    def __init__(self, config: SalesforceConfig) -> None:
        self.config = config
        self.http = Http()
        self.tokens = Tokens(self._login)

    async def open(self) -> None:
        """Connect and log in; AuthError where the login is refused."""
        await self.http.open()
        await self.tokens.current()

    async def close(self) -> None:
        """Give everything back; safe to call twice."""
        await self.tokens.close()
        await self.http.close()

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        """`path` below `/services/data/vNN.N`, percent-encoded, or an absolute one that an answer gave; any status."""
        full = path if path.startswith("/services/") else f"/services/data/v{self.config.api_version}{path}"
        return await call(self.http, self.tokens, method, full, **options)

    async def get(self, path: str) -> dict[str, Any]:
        """The JSON object of a 200; the error of the table for anything else."""
        answer = await self.call("GET", path)
        told = answer.json()
        if answer.status != 200:
            raise rest_error(answer.status, told, answer.retry_after)
        if not isinstance(told, dict):
            raise TransientError("Salesforce answers something that is no JSON object", code="ANSWER")
        return told

    async def _login(self) -> Token:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.config.client_id,
            "client_secret": self.config.client_secret,
        }
        answer = await self.http.request("POST", f"{self.config.login_url}/services/oauth2/token", data=form)
        told = answer.json()
        if answer.status != 200:
            raise login_error(answer.status, told, answer.retry_after)
        return _token(told)


def _token(told: Mapping[str, Any]) -> Token:
    match told:
        case {"access_token": str(value), "instance_url": str(base)}:
            return Token(base.rstrip("/"), value, tenant=_tenant(told))
    raise AuthError("Salesforce's login answer has no token", code="LOGIN_ANSWER")


def _tenant(told: Mapping[str, Any]) -> str:
    """The org's id: in the address that tells who logged in (`…/id/<org>/<user>`), and before the `!` of most tokens."""
    named = ORG_OF_ID.search(str(told.get("id", ""))) or ORG_OF_TOKEN.match(told["access_token"])
    return to18(named[1]) if named else ""
