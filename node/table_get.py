"""`isthmus table get`: a table's value for a key, asked of the running workers.

Promises: prints JSON on stdout, or one line on stderr that says why not; exit codes 0 found, 1 not found or nobody
answers, 2 asked wrongly.
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp

from isthmus.config.errors import IsthmusError
from isthmus.config.settings import Settings

TABLES = {"golden": "golden/{}", "xref": "xref/{}"}


def table_get(settings: Settings, table: str, key: str) -> int:
    """`golden` takes entity/id, `xref` takes system/native id."""
    if table not in TABLES or key.count("/") != 1:
        print("error: ask for `golden ENTITY/ID` or `xref SYSTEM/NATIVE_ID`", file=sys.stderr)
        return 2
    status, body = asyncio.run(_ask(f"{settings.node.own_url}/v1/{TABLES[table].format(key)}"))
    print(body, file=sys.stdout if status == 200 else sys.stderr)
    return 0 if status == 200 else 1


async def _ask(url: str) -> tuple[int, str]:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, await response.text()
    except aiohttp.ClientError as fault:
        raise IsthmusError(f"no worker answers at {url}: {fault}", hint="start one with `isthmus worker`") from None
