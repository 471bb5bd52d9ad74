"""Logging in to a Finance & Operations environment and calling its OData service (dynamics.md §3.1, §5.3).

Promises: one login however many callers; every call looks at all companies; the secret stays in here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from isthmus.config.errors import TransientError
from isthmus.systems.entra import Credentials, login
from isthmus.systems.http import Answer, Http, Token, Tokens, call
from isthmus.systems.operations.errors import odata_error

ODATA = {"Accept": "application/json", "OData-Version": "4.0", "OData-MaxVersion": "4.0"}
EVERY_COMPANY = "cross-company=true"


@dataclass(frozen=True, slots=True)
class OperationsConfig:
    """How to reach an environment. `company` is the legal entity that new records belong to; `settle` the seconds after
    which a request whose answer was lost is no longer under way; `scope` None is `<url>/.default`; `api_version` is the
    application's, as `10.0`. `user` is whom the application works as, `endpoint` the business events endpoint that sends to
    us: both only for what is set up (provision.py), None where that is not looked after."""

    url: str
    authority: str
    tenant: str
    client_id: str
    client_secret: str = field(repr=False)
    company: str = ""
    scope: str | None = None
    ca_file: Path | None = None
    settle: float = 60.0
    secret_file: Path | None = None
    certificate_file: Path | None = None
    api_version: str = "10.0"
    user: str | None = None
    endpoint: str | None = None


class Session:
    """An environment that we are logged in to."""

    def __init__(self, config: OperationsConfig) -> None:
        self.config = config
        self.http = Http(config.ca_file)
        self.tokens = Tokens(self._login)

    async def open(self) -> None:
        """Connect and log in; AuthError where the login is refused."""
        await self.http.open()
        await self.tokens.current()

    async def close(self) -> None:
        """Give everything back; safe to call twice."""
        await self.tokens.close()
        await self.http.close()

    async def call(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> Answer:
        """`path` below the environment's root, percent-encoded; any status."""
        return await call(self.http, self.tokens, method, path, headers={**ODATA, **(headers or {})}, **options)

    async def get(self, path: str) -> dict[str, Any]:
        """The JSON object of a 200; the error of the table for anything else."""
        answer = await self.call("GET", path)
        told = answer.json()
        if answer.status != 200:
            raise odata_error(answer.status, told, answer.retry_after)
        if not isinstance(told, dict):
            raise TransientError("Operations answers something that is no JSON object", code="ANSWER")
        return told

    def below(self, link: str) -> str:
        """A link that the environment gave, as a path for `get`."""
        parts = urlsplit(link)
        return f"{parts.path}?{parts.query}"

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
