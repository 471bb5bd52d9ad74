"""A new secret for our own app registration, by Microsoft Graph, before the one that we log in by ends.

Promises: the old and the new one are valid together until the old one ends; the file is replaced as a whole and holds the
newest first; what has ended long ago is taken away, and nobody else's secret is touched. One that was made but could not
be written is never used, and the next run makes another. Needs the right Application.ReadWrite.OwnedBy, and the
application to be its own owner.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from isthmus.config.errors import AuthError, PermanentError, PlatformError, TransientError
from isthmus.systems.entra import Credentials, login
from isthmus.systems.http import Answer, Http, Token
from isthmus.systems.secret_file import secrets_of

NAME = "isthmus"
SOON = timedelta(days=30)
LIFETIME = timedelta(days=180)
HINT_LETTERS = 3
KEPT = 2


@dataclass(frozen=True, slots=True)
class Renewed:
    """Until when the newest secret of the file is valid (None: Graph does not know it), and whether it was made now."""

    until: datetime | None
    made: bool


async def renew(http: Http, graph: str, credentials: Credentials, file: Path, now: datetime) -> Renewed:
    """Make sure that the file's newest secret is valid for a month more. PlatformError, or ConfigError for the file."""
    secrets = secrets_of(file)
    application = _Application(http, graph, await login(http, graph, credentials), credentials.client_id)
    known = await application.passwords()
    until = _end(known, secrets[0])
    if until is not None and until > now + SOON:
        return Renewed(until, made=False)
    secret, until = await application.add(now + LIFETIME)
    _write(file, (secret, *secrets)[:KEPT])
    for key in _over(known, now):
        await application.remove(key)
    return Renewed(until, made=True)


async def valid_until(http: Http, graph: str, credentials: Credentials, file: Path) -> datetime | None:
    """Until when the file's newest secret is valid; None where Graph does not know it."""
    application = _Application(http, graph, await login(http, graph, credentials), credentials.client_id)
    return _end(await application.passwords(), secrets_of(file)[0])


class _Application:
    """Our app registration at Graph."""

    def __init__(self, http: Http, graph: str, token: Token, client_id: str) -> None:
        self._http = http
        self._path = f"{graph}/v1.0/applications(appId='{client_id}')"
        self._headers = {"Authorization": f"Bearer {token.value}"}

    async def passwords(self) -> list[Mapping[str, Any]]:
        """What Graph tells of its secrets: never more than their first letters."""
        answer = await self._ask("GET", "?$select=passwordCredentials")
        found: list[Mapping[str, Any]] = answer.json()["passwordCredentials"]
        return found

    async def add(self, until: datetime) -> tuple[str, datetime]:
        """A new secret, told this once, and its end."""
        wanted = {"passwordCredential": {"displayName": NAME, "endDateTime": until.strftime("%Y-%m-%dT%H:%M:%SZ")}}
        told = (await self._ask("POST", "/addPassword", json=wanted)).json()
        return str(told["secretText"]), _time(told["endDateTime"])

    async def remove(self, key: str) -> None:
        """This secret is valid no more."""
        await self._ask("POST", "/removePassword", json={"keyId": key})

    async def _ask(self, method: str, path: str, **options: Any) -> Answer:
        answer = await self._http.request(method, self._path + path, headers=self._headers, **options)
        if answer.status not in (200, 201, 204):
            raise graph_error(answer)
        return answer


def graph_error(answer: Answer) -> PlatformError:
    """The error for what Graph refuses."""
    told = answer.json()
    error = told.get("error") if isinstance(told, dict) else None
    said = error if isinstance(error, dict) else {}
    code = str(said.get("code", f"HTTP_{answer.status}"))
    text = f"Microsoft Graph refuses: {answer.status} {code}"
    if answer.status == 429 or answer.status >= 500:
        return TransientError(text, code=code, retry_after=answer.retry_after)
    if answer.status == 401:
        return AuthError(text, code=code)
    hint = "grant Application.ReadWrite.OwnedBy, and make the application its own owner"
    return PermanentError(text, code=code, hint=hint)


def _end(known: list[Mapping[str, Any]], secret: str) -> datetime | None:
    """Of several secrets that begin alike, the earliest end."""
    return min((_time(one["endDateTime"]) for one in known if one.get("hint") == secret[:HINT_LETTERS]), default=None)


def _over(known: list[Mapping[str, Any]], now: datetime) -> Iterator[str]:
    """Ours that have ended."""
    for one in known:
        if one.get("displayName") == NAME and _time(one["endDateTime"]) < now:
            yield str(one["keyId"])


def _time(told: Any) -> datetime:
    return datetime.fromisoformat(str(told)).astimezone(UTC)


def _write(file: Path, secrets: tuple[str, ...]) -> None:
    """Whole or not at all, and for nobody else to read."""
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as held:
        held.write("".join(f"{secret}\n" for secret in secrets))
    new.replace(file)
