"""Runs a client in Node that others wrote; `make strangers` fetches it."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
NODE = shutil.which("node")


def needs(package: str) -> pytest.MarkDecorator:
    """Skip where Node or the package is not there."""
    why = "node is not installed" if NODE is None else f"{package} is not there: make strangers fetches it"
    return pytest.mark.skipif(NODE is None or not (HERE / "node_modules" / package).is_dir(), reason=why)


async def told(script: str, *arguments: str) -> dict[str, Any]:
    """The JSON that a script prints; it has to end well."""
    assert NODE is not None
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(NODE, str(HERE / script), *arguments, stdout=pipe, stderr=pipe)
    out, err = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, err.decode()
    found: dict[str, Any] = json.loads(out)
    return found
