"""Every row, page by page, and what changed or went since a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from isthmus.config.errors import PermanentError
from isthmus.config.mapping import load_mappings
from isthmus.simulators.dynamics import DynamicsEnvironment, serve_dynamics
from isthmus.systems.dynamics.adapter import Dynamics, DynamicsConfig
from isthmus.systems.protocol import Row

SINCE = "2026-03-01T12:01:00Z"


class Clock:
    """Time that a test moves."""

    moment = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def environment(clock: Clock) -> DynamicsEnvironment:
    return DynamicsEnvironment(seed=7, clock=clock, token_lifetime=36000)


@pytest.fixture
async def dynamics(environment: DynamicsEnvironment) -> AsyncIterator[Dynamics]:
    async with serve_dynamics(environment) as served:
        here = served.http_url
        login = (here, here, environment.tenant, environment.client_id, environment.client_secret)
        system = Dynamics(DynamicsConfig(*login, page_rows=3), load_mappings().objects("dynamics"))
        await system.open()
        yield system
        await system.close()


async def test_every_row_comes_once_in_pages(dynamics: Dynamics, environment: DynamicsEnvironment) -> None:
    made = [environment.create("account", {"name": f"a{n}"}) for n in range(10)]
    environment.limits.requests = 10**6
    rows: list[Row] = []
    async for row in dynamics.scan("account"):
        rows.append(row)
        if len(rows) == 1:
            assert len(environment.limits._spent) == 1, "a page is asked for when it is wanted"
            environment.delete("account", made[0])
    assert [row.record_id for row in rows] == made
    assert all(row.exists and row.version and row.fields["name"] == f"a{n}" for n, row in enumerate(rows))
    assert len(environment.limits._spent) == 4


async def test_a_table_that_is_not_mapped_is_refused(dynamics: Dynamics) -> None:
    with pytest.raises(PermanentError):
        _ = [row async for row in dynamics.scan("shoe")]


@pytest.mark.parametrize("audited", [True, False])
async def test_since_a_time_come_what_changed_and_with_an_audit_what_went(
    dynamics: Dynamics, environment: DynamicsEnvironment, clock: Clock, audited: bool
) -> None:
    if audited:
        environment.audit("account")
    old, changed, gone, before = (environment.create("account", {"name": name}) for name in "abcd")
    environment.delete("account", before)
    clock.moment += timedelta(minutes=2)
    environment.update("account", changed, {"name": "B"})
    environment.delete("account", gone)
    contact = environment.create("contact", {"lastname": "Ada"})
    environment.delete("contact", contact)
    rows = {row.record_id: row.exists async for row in dynamics.scan("account", SINCE)}
    assert rows == ({changed: True, gone: False} if audited else {changed: True})
    assert old not in rows
