"""A replay id that the org has forgotten stops the source loudly: changes may be missing, and nobody may guess."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from isthmus.node.demo import Progress, settle, theatre


async def test_a_forgotten_replay_id_makes_the_node_not_ready_and_says_why(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=9) as stage:
        stage.org.create("Account", {"Name": "Alder"})
        await settle(stage, Progress(), 60)
        await stage.worker.kill()
        stage.org.create("Account", {"Name": "Birch"})
        stage.org.expire_replay()
        await stage.worker.start()
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while not (reasons := await _reasons(session, stage.worker.url)):
                await asyncio.sleep(0.1)
        assert any("salesforce" in reason and "replayid.corrupted" in reason for reason in reasons), reasons


async def _reasons(session: aiohttp.ClientSession, url: str) -> list[str]:
    """Why the worker is not ready, apart from its recovering."""
    try:
        async with session.get(f"{url}/health/ready") as response:
            said: list[str] = (await response.json())["reasons"]
            return [reason for reason in said if "recovered" not in reason]
    except aiohttp.ClientError:
        return []
