"""A secret that is renewed before it ends: the old one and the new one are valid together, and nothing needs a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from logins import log_in

from isthmus.config.settings import Settings
from isthmus.node.renewal import answers
from isthmus.simulators.dynamics import DynamicsEnvironment, Served, serve_dynamics


@pytest.fixture
def environment() -> DynamicsEnvironment:
    return DynamicsEnvironment(seed=7)


@pytest.fixture
async def served(environment: DynamicsEnvironment) -> AsyncIterator[Served]:
    async with serve_dynamics(environment) as served:
        yield served


@pytest.fixture
def file(tmp_path: Path, environment: DynamicsEnvironment) -> Path:
    file = tmp_path / "secret"
    file.write_text(f"{environment.client_secret}\n")
    file.chmod(0o600)
    return file


def settings(environment: DynamicsEnvironment, served: Served, file: Path, graph: str | None = None) -> Settings:
    known = {
        "url": served.https_url,
        "authority": served.https_url,
        "tenant": environment.tenant,
        "client_id": environment.client_id,
        "secret_file": str(file),
        "graph": graph or served.https_url,
        "ca_file": str(served.ca_file),
    }
    return Settings.model_validate({"dynamics": known})


def soon(environment: DynamicsEnvironment) -> datetime:
    """The secret ends in ten days; now."""
    now = environment.now()
    environment.graph.end(environment.client_secret, now + timedelta(days=10))
    return now


def held(file: Path) -> list[str]:
    """The secrets of a file that nobody else may read."""
    assert file.stat().st_mode & 0o077 == 0
    return file.read_text().split()


async def test_a_secret_that_ends_soon_is_renewed_once_and_both_are_valid(
    environment: DynamicsEnvironment, served: Served, file: Path
) -> None:
    now = soon(environment)
    (warned,) = await answers(settings(environment, served, file), now, make=False)
    assert (warned.name, warned.state) == ("dynamics secret", "warn")
    (done,) = await answers(settings(environment, served, file), now, make=True)
    assert (done.state, "is new" in done.message) == ("ok", True)
    new, old = held(file)
    assert old == environment.client_secret
    for one in (new, old):
        assert (await log_in(environment, served, client_secret=one)).value
    (again,) = await answers(settings(environment, served, file), now, make=True)
    assert (again.state, held(file)) == ("ok", [new, old])
    assert new not in f"{done}{again}"


async def test_what_has_ended_is_taken_away_and_nobody_elses_secret_is(
    environment: DynamicsEnvironment, served: Served, file: Path
) -> None:
    now = soon(environment)
    for name in ("isthmus", "somebody's"):
        environment.graph.know(f"past of {name}", now - timedelta(days=1), name)
    await answers(settings(environment, served, file), now, make=True)
    assert sorted(str(one["displayName"]) for one in environment.graph.told()) == ["None", "isthmus", "somebody's"]


async def test_without_the_right_the_secret_stays_and_the_answer_says_what_to_grant(
    environment: DynamicsEnvironment, served: Served, file: Path
) -> None:
    now = soon(environment)
    environment.graph.owned = False
    (refused,) = await answers(settings(environment, served, file), now, make=True)
    assert (refused.state, "Application.ReadWrite.OwnedBy" in refused.hint) == ("fail", True)
    assert held(file) == [environment.client_secret]


async def test_who_did_not_opt_in_is_not_asked() -> None:
    assert await answers(Settings.model_validate({}), datetime.fromisoformat("2026-01-01T00:00:00Z"), make=False) == []
