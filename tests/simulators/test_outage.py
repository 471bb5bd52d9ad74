"""An outage befalls every request of a simulated platform, and ends."""

from __future__ import annotations

import aiohttp
import pytest

from isthmus.simulators.dynamics import DynamicsEnvironment, serve_dynamics
from isthmus.simulators.outage import Outage
from isthmus.simulators.salesforce import SalesforceOrg, serve_salesforce


async def suffers(outage: Outage, url: str, well: int) -> None:
    async with aiohttp.ClientSession() as session:

        async def status() -> int:
            async with session.get(url) as response:
                return response.status

        outage.status = 503
        assert await status() == 503
        outage.over()
        outage.unreachable = True
        with pytest.raises(aiohttp.ClientConnectionError):
            await status()
        outage.over()
        assert await status() == well


async def test_salesforce_is_away_and_back() -> None:
    org = SalesforceOrg()
    async with serve_salesforce(org) as url:
        await suffers(org.outage, f"{url}/services/data", 200)


async def test_dynamics_is_away_and_back() -> None:
    environment = DynamicsEnvironment()
    async with serve_dynamics(environment) as served:
        await suffers(environment.outage, f"{served.http_url}/api/data/v9.2/accounts", 401)
