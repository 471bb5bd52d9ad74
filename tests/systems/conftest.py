"""Every platform in turn, for the tests that all of them have to pass."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from worlds import WORLDS, World


@pytest.fixture(params=WORLDS)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with WORLDS[request.param]() as one:
        await one.system.open()
        yield one
        await one.system.close()
