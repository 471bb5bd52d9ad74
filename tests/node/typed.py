"""`isthmus …` as people type it, against a worker that runs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Any

import orjson


async def typed(settings: Mapping[str, str], *arguments: str, code: int = 0, **more: str) -> Any:
    """What the command says: its JSON where that was asked for and it did not fail, else its words. `settings`, `more`:
    variables for it; `code`: how it has to end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isthmus.node.cli", *arguments),
        env={**os.environ, **settings, **more},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == code, (out, err)
    return orjson.loads(out) if "--json" in arguments and not code else out.decode() + err.decode()
