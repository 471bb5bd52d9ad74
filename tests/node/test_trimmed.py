"""A log that was made anew beneath the marker is a loud alarm, never a silent skip."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from isthmus.node.theatre import Progress, settle, theatre


async def test_records_deleted_before_they_were_done_stop_their_lane_and_the_worker_says_so(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=6) as stage:
        stage.org.create("Account", {"Name": "Alder"})
        await settle(stage, Progress(), 60)
        await stage.worker.kill()
        async with aiohttp.ClientSession() as session:
            # Hints that come while no worker is there, and are deleted before one is back.
            await _fill_and_trim(kafka, f"{namespace}hints.dynamics")
            await stage.worker.start()
            async with asyncio.timeout(60):
                while not (reasons := await _reasons(session, stage.worker.url)):
                    await asyncio.sleep(0.1)
        assert any("hints.dynamics" in reason and "changes may be lost" in reason for reason in reasons), reasons


async def _fill_and_trim(kafka: str, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    ends = [(await producer.send_and_wait(topic, b"{}", partition=number)).offset for number in (0, 1, 2, 3) * 3]
    await producer.stop()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    places = {TopicPartition(topic, number): RecordsToDelete(before_offset=ends[8 + number]) for number in range(4)}
    await admin.delete_records(places)
    await admin.close()


async def _reasons(session: aiohttp.ClientSession, url: str) -> list[str]:
    """Why the worker is not ready, apart from its recovering."""
    try:
        async with session.get(f"{url}/health/ready") as response:
            said: list[str] = (await response.json())["reasons"]
            return [reason for reason in said if "recovered" not in reason]
    except aiohttp.ClientError:
        return []
