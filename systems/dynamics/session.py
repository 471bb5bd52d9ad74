"""Logging in to a Dataverse environment and calling its Web API (dynamics.md §3.1, §3.2).

Promises: one login however many callers; the secret stays in here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from isthmus.codecs import limits
from isthmus.codecs.limits import Limit
from isthmus.config.errors import TransientError
from isthmus.systems.dynamics.errors import web_api_error
from isthmus.systems.dynamics.throttle import Throttle
from isthmus.systems.entra import Credentials, login
from isthmus.systems.http import Answer, Http, Token, Tokens, call

ODATA = {
    "Accept": "application/json",
    "OData-Version": "4.0",
    "OData-MaxVersion": "4.0",
}
# Caches on the way must not answer for the environment; on a write the same header would be a condition.
UNCACHED = {"If-None-Match": "null"}


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where the environment is to send its webhooks, and how they prove themselves (dynamics.md §1.2)."""

    url: str
    kind: Literal["key", "header", "query"]
    name: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DynamicsConfig:
    """How to reach an environment. `authority` issues the tokens; `scope` None is `<url>/.default`; `api_version` as
    `v9.2`; `ca_file` is a PEM to trust instead of the system's; `client_name` is the tag on our writes; `feed_seconds`
    lie between two looks at what changed, None: never; `page_rows` is the size of a page. The app
    proves itself as systems/entra.py says; `webhook` is what `provision` sets up."""

    url: str
    authority: str
    tenant: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    api_version: str = "v9.2"
    scope: str | None = None
    ca_file: Path | None = None
    client_name: str = "isthmus"
    feed_seconds: float | None = 60.0
    page_rows: int = 1000
    secret_file: Path | None = None
    certificate_file: Path | None = None
    webhook: Webhook | None = None


class Session:
    """An environment that we are logged in to. `limits` is what the answers so far told of its service protection."""

    def __init__(self, config: DynamicsConfig) -> None:
        self.config = config
        self.http = Http(config.ca_file)
        self.tokens = Tokens(self._login)
        self.throttle = Throttle()
        self.limits: tuple[Limit, ...] = ()

    async def open(self) -> None:
        """Connect and log in; AuthError where the login is refused."""
        await self.http.open()
        await self.tokens.current()

    async def close(self) -> None:
        """Give everything back; safe to call twice."""
        await self.tokens.close()
        await self.http.close()

    async def call(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> Answer:
        """`path` below `/api/data/vN.N/`, percent-encoded; any status. TransientError also where the platform asked for a
        pause that is not over."""
        await self.throttle.enter()
        try:
            answer = await call(
                self.http, self.tokens, method, self.root + path, headers={**ODATA, **(headers or {})}, **options
            )
        finally:
            await self.throttle.leave()
        self.limits = limits.heard(self.limits, limits.dynamics(answer.headers, time.time()))
        self.note(answer)
        return answer

    def note(self, answer: Answer) -> None:
        """Learn from an answer how much the platform will take."""
        if answer.status == 429:
            fault = web_api_error(answer.status, answer.json(), answer.retry_after)
            self.throttle.refused(fault.code, answer.retry_after)
        elif answer.status < 500:
            self.throttle.accepted()

    @property
    def root(self) -> str:
        """The Web API's path on its host."""
        return f"/api/data/{self.config.api_version}/"

    async def get(self, path: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """The JSON object of a 200; the error of the table for anything else."""
        answer = await self.call("GET", path, headers={**UNCACHED, **(headers or {})})
        told = answer.json()
        if answer.status != 200:
            raise web_api_error(answer.status, told, answer.retry_after)
        if not isinstance(told, dict):
            raise TransientError("Dynamics answers something that is no JSON object", code="ANSWER")
        return told

    async def _login(self) -> Token:
        config = self.config
        scope = config.scope or f"{config.url}/.default"
        known = Credentials(
            config.authority,
            config.tenant,
            config.client_id,
            config.client_secret,
            scope,
            config.secret_file,
            config.certificate_file,
        )
        return await login(self.http, config.url, known)
