"""Logging in to Salesforce and calling its REST API (salesforce.md §3, §4).

Promises: calls go to the instance that the login named; one login however many callers; the secret stays in here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp

from isthmus.codecs import limits
from isthmus.codecs.limits import Limit
from isthmus.config.errors import TransientError
from isthmus.systems.http import Answer, Http, Token, Tokens, call
from isthmus.systems.salesforce.errors import rest_error
from isthmus.systems.salesforce.login import AUDIENCE, Credential, Key, Secret, log_in

# Many records in one call run triggers for each; the org itself gives up after ten minutes.
SLOW = aiohttp.ClientTimeout(total=180.0)


@dataclass(frozen=True, slots=True)
class SalesforceConfig:
    """How to reach an org. `login_url` is its My Domain; `api_version` as `60.0`; `channels` are the change channels;
    `pubsub_url` is where the Pub/Sub API is, None: listen by CometD. `client_name` marks our writes in change events;
    `allow_duplicates` saves what a duplicate rule only warns of. We log in by `private_key_file` and `username` where a
    key is given, else by the secret, itself or in a file."""

    login_url: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    api_version: str = "60.0"
    channels: tuple[str, ...] = ("/data/ChangeEvents",)
    client_name: str = "isthmus"
    pubsub_url: str | None = None
    allow_duplicates: bool = False
    client_secret_file: Path | None = None
    private_key_file: Path | None = None
    username: str = ""
    audience: str = AUDIENCE

    @property
    def credential(self) -> Credential:
        """What we show at the login."""
        if self.private_key_file is not None:
            return Key(self.private_key_file, self.username, self.audience)
        return Secret(self.client_secret, self.client_secret_file)


class Session:
    """An org that we are logged in to. `limits` is what the answers so far told of the daily calls, `now` the org's own
    time at the last, `user_id` who we are."""

    def __init__(self, config: SalesforceConfig) -> None:
        self.config = config
        self.http = Http()
        self.tokens = Tokens(self._login)
        self.limits: tuple[Limit, ...] = ()
        self.now = datetime.now(UTC)
        self.user_id = ""

    @property
    def marks(self) -> dict[str, str]:
        """The headers of a write: our name for its change event, and what a duplicate rule may do (§4.3)."""
        named = {"Sforce-Call-Options": f"client={self.config.client_name}"}
        return named | ({"Sforce-Duplicate-Rule-Header": "allowSave=true"} if self.config.allow_duplicates else {})

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
        answer = await call(self.http, self.tokens, method, full, **options)
        self.now = _date(answer) or datetime.now(UTC)
        self.limits = limits.heard(self.limits, limits.salesforce(answer.headers, time.time()))
        return answer

    async def get(self, path: str, **options: Any) -> dict[str, Any]:
        """The JSON object of a 200; the error of the table for anything else."""
        answer = await self.call("GET", path, **options)
        told = answer.json()
        if answer.status != 200:
            raise rest_error(answer.status, told, answer.retry_after)
        if not isinstance(told, dict):
            raise TransientError("Salesforce answers something that is no JSON object", code="ANSWER")
        return told

    async def _login(self) -> Token:
        config = self.config
        login = await log_in(self.http, config.login_url, config.client_id, config.credential)
        self.user_id = login.user_id
        return login.token


def _date(answer: Answer) -> datetime | None:
    try:
        return parsedate_to_datetime(answer.headers.get("date", "")).astimezone(UTC)
    except ValueError:
        return None
