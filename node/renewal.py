"""`isthmus renew`: a new secret where the one in `secret_file` ends within a month; for a daily job.

Promises: only where `graph` is set; no secret is printed; a worker takes the new one at its next login, without a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from isthmus.config.errors import IsthmusError
from isthmus.config.platforms import EntraSettings
from isthmus.config.settings import Settings
from isthmus.node.check import SOON_DAYS, Answer, State, report
from isthmus.systems.entra import Credentials
from isthmus.systems.entra_renewal import Renewed, renew, valid_until
from isthmus.systems.http import Http

HINT = "run isthmus renew daily, and see docs/operations.md for the right that it needs"


def run_renew(settings: Settings, *, as_json: bool = False) -> int:
    """Renew what is due, print what was done, give the exit code: 0 all is well, 1 something could not be done."""
    return report(asyncio.run(answers(settings, datetime.now(UTC), make=True)), as_json=as_json)


async def answers(settings: Settings, now: datetime, *, make: bool) -> list[Answer]:
    """One answer for each secret that Graph may renew; `make`: renew it where it is due."""
    found = [await _one(name, section, file, now, make=make) for name, section, file in _opted(settings)]
    return found or ([Answer("warn", "secrets", "none may be renewed", "set graph and secret_file")] if make else [])


def _opted(settings: Settings) -> Iterator[tuple[str, EntraSettings, Path]]:
    for name, section in (("dynamics", settings.dynamics), ("operations", settings.operations)):
        if section is not None and section.graph is not None and section.secret_file is not None:
            yield name, section, section.secret_file


async def _one(name: str, section: EntraSettings, file: Path, now: datetime, *, make: bool) -> Answer:
    graph = section.graph or ""
    known = Credentials(section.issuer, section.tenant, section.client_id, "", f"{graph}/.default", file)
    http = Http(section.ca_file)
    await http.open()
    try:
        if make:
            done = await renew(http, graph, known, file, now)
        else:
            done = Renewed(await valid_until(http, graph, known, file), made=False)
    except IsthmusError as fault:
        return Answer("fail", f"{name} secret", str(fault), fault.hint or HINT)
    finally:
        await http.close()
    return _said(f"{name} secret", done, now)


def _said(name: str, done: Renewed, now: datetime) -> Answer:
    if done.until is None:
        return Answer("warn", name, "Graph does not know the newest one of the file", HINT)
    left = (done.until - now).days
    state: State = "ok" if left >= SOON_DAYS else "warn"
    return Answer(state, name, f"{'is new and' if done.made else 'is'} valid for {left} more days", HINT)
