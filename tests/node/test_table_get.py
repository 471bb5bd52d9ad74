"""`isthmus table get` against a worker that runs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from isthmus.node.theatre import Progress, settle, theatre


async def table_get(port: int, *arguments: str) -> tuple[int, str, str]:
    """The command, as people type it: exit code, stdout, stderr."""
    environment = {**os.environ, "ISTHMUS_NODE__HTTP_PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isthmus.node.cli", "table", "get", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_table_get_shows_what_a_worker_holds_and_says_what_it_does_not(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=2) as stage:
        account = stage.org.create("Account", {"Name": "Alder"})
        await settle(stage, Progress(), 60)
        port = urlsplit(stage.worker.url).port or 0
        code, out, _ = await table_get(port, "xref", f"salesforce/{account}")
        assert code == 0
        code, out, _ = await table_get(port, "golden", f"account/{json.loads(out)['canonical']}")
        assert (code, json.loads(out)["fields"]) == (0, {"name": "Alder"})
        code, out, err = await table_get(port, "golden", "account/nobody")
        assert (code, out) == (1, "")
        assert "no account nobody" in err
        assert (await table_get(port, "shoes", "a/b"))[0] == 2
    code, _, err = await table_get(port, "golden", "account/nobody")
    assert code == 1
    assert "no worker answers" in err
