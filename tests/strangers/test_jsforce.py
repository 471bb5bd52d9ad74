"""The simulated org through jsforce, unmodified; `make strangers` fetches it."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from isthmus.simulators.salesforce import SalesforceOrg, serve_salesforce

HERE = Path(__file__).parent
NODE = shutil.which("node")
MISSING = "node is not installed" if NODE is None else "jsforce is not there: run make strangers"

pytestmark = pytest.mark.skipif(NODE is None or not (HERE / "node_modules" / "jsforce").is_dir(), reason=MISSING)


async def told(org: SalesforceOrg) -> dict[str, Any]:
    """What jsforce tells of a day at the org."""
    assert NODE is not None
    async with serve_salesforce(org) as url:
        process = await asyncio.create_subprocess_exec(
            NODE,
            str(HERE / "jsforce.cjs"),
            url,
            org.client_id,
            org.client_secret,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, err.decode()
    found: dict[str, Any] = json.loads(out)
    return found | {"url": url}


async def test_jsforce_does_what_its_users_do_all_day() -> None:
    org = SalesforceOrg(seed=3)
    org.page_rows = 200
    found = await told(org)
    assert found["instance"] == found["url"]
    assert (found["created"]["success"], found["read"], found["updated"]) == (True, "Alder", True)
    assert (found["upserted"]["success"], found["refused"]) == (True, "REQUIRED_FIELD_MISSING")
    assert found["many"] == [True, True, True, "STRING_TOO_LONG", True]
    assert found["strict"] == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert found["retrieved"] == ["N0", "N1", "N2", "N4"]
    assert found["queried"] == ["N4", "N2", "N1", "N0"]
    assert (found["count"], found["destroyed"], found["binned"]) == (6, True, 2)
    assert (found["changed"], found["deleted"]) == (4, 2)
    assert found["composite"] == [201, 201]
    assert found["bulk"] == [299, 1, 0]
    assert (found["why"], found["streamed"]) == ("STRING_TOO_LONG", 'B "0",')
    assert found["limits"] == 100_000
