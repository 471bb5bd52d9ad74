"""The whole way of a change: both simulators, a worker as people run it, real Kafka; and what a crash may not change."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from confluent_kafka import Consumer
from oracle import committed, replay

from isthmus.node.demo import play, verdict
from isthmus.node.theatre import Progress, Theatre, settle, theatre, with_tasks


@pytest.fixture
async def stage(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Theatre]:
    """Simulators and a ready worker."""
    at, entities = {"bootstrap": kafka, "namespace": namespace}, with_tasks(tmp_path / "entities")
    async with theatre(tmp_path, **at, seed=5, entities=entities) as stage:
        yield stage


async def proven(stage: Theatre, progress: Progress) -> None:
    """Balanced, converged, and every event exactly as a pure replay of merge's input yields it, once."""
    found = await verdict(stage, progress.ledger, 0.0)
    assert found.problems == []
    assert found.summary["balanced"]
    assert found.summary["converged"]
    expected, golden = await replay(stage.bootstrap, stage.namespace, stage.mappings)
    published = [
        (record.topic, record.key, record.value, tuple(record.headers))
        for entity in stage.mappings.entities
        for record in await committed(stage.bootstrap, f"{stage.namespace}events.{entity}")
    ]
    assert Counter(published) == Counter(expected)
    async with aiohttp.ClientSession() as session:
        for key, record in golden.items():
            if record.redirect is not None:
                continue
            async with session.get(f"{stage.worker.url}/v1/golden/{record.entity}/{key.decode()}") as response:
                shown = await response.json()
            assert shown["fields"] == record.values()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_worker_stopped_in_the_middle_of_the_day_ends_with_the_same_truth(
    stage: Theatre, number: signal.Signals
) -> None:
    progress = Progress()
    day = asyncio.create_task(play(stage, progress, seed=5, size=40, pause=0.02))
    for wishes in (30, 110):
        while progress.wishes < wishes:
            await asyncio.sleep(0.01)
        await stage.worker.kill(number)
        await stage.worker.start()
    await asyncio.wait_for(day, 150)
    await proven(stage, progress)


async def test_a_gap_is_read_back_and_a_broken_webhook_is_a_dead_letter(stage: Theatre) -> None:
    progress = Progress()
    account = stage.org.create("Account", {"Name": "Alder", "Phone": "1"})
    await settle(stage, progress, 60)
    stage.org.gap_next("Account", [account])
    stage.org.update("Account", account, {"Phone": "2"})
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{stage.worker.url}/webhooks/dynamics", data=b"{}") as response:
            assert response.status == 401
        async with session.post(stage.webhook_url, data=b"{}") as response:
            assert response.status == 204
    ledger = await settle(stage, progress, 60)
    assert [row["telephone1"] for row in stage.environment.rows("account").values()] == ["2"]
    assert ledger["subjects"]["dynamics/unknown"]["dead"] == 1
    assert ledger["balanced"]
    letters = await committed(stage.bootstrap, f"{stage.namespace}dead")
    assert [b"MessageName" in letter.value and b'"original":"{}"' in letter.value for letter in letters] == [True]


async def test_a_target_that_fails_for_a_while_gets_everything_later_and_what_it_refuses_is_a_dead_letter(
    stage: Theatre,
) -> None:
    progress = Progress()
    stage.environment.fail_next(3, 503, "0x80044150")
    stage.org.create("Account", {"Name": "Birch", "Phone": "1"})
    ledger = await settle(stage, progress, 60)
    assert [row["name"] for row in stage.environment.rows("account").values()] == ["Birch"]
    assert ledger["deliveries"]["dynamics/account"]["retries"] == 3
    stage.org.create("Account", {"Name": "x" * 200})  # longer than Dynamics takes
    ledger = await settle(stage, progress, 60)
    assert ledger["deliveries"]["dynamics/account"]["dead"] == 1
    assert len(await committed(stage.bootstrap, f"{stage.namespace}dead")) == 1


async def test_another_librarys_consumer_reads_the_canonical_events(stage: Theatre) -> None:
    stage.org.create("Account", {"Name": "Cedar", "AccountNumber": "C-1"})
    await settle(stage, Progress(), 60)
    settings = {"bootstrap.servers": stage.bootstrap, "group.id": stage.namespace, "auto.offset.reset": "earliest"}
    consumer = Consumer({**settings, "isolation.level": "read_committed"})
    try:
        consumer.subscribe([f"{stage.namespace}events.account"])
        record = await asyncio.to_thread(consumer.poll, 30)
    finally:
        consumer.close()
    assert record is not None
    headers = dict(record.headers())
    assert headers["ce_type"] == b"isthmus.account.created"
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_subject"] == record.key()
    assert headers["ce_correlationid"]
    assert b'"Cedar"' in record.value()


async def test_the_api_says_who_a_record_is_and_why_a_value_is_what_it_is(stage: Theatre) -> None:
    account = stage.org.create("Account", {"Name": "Dover", "Phone": "1"})
    await settle(stage, Progress(), 60)
    async with aiohttp.ClientSession(base_url=stage.worker.url) as session:
        async with session.get(f"/v1/xref/salesforce/{account}") as response:
            canonical = (await response.json())["canonical"]
        async with session.get(f"/v1/golden/account/{canonical}") as response:
            golden = await response.json()
        assert golden["fields"] == {"name": "Dover", "phone": "1"}
        why = golden["provenance"]["name"]
        assert (why["system"], why["native_id"], why["rule"]) == (
            "salesforce",
            account,
            "precedence salesforce > dynamics",
        )
        assert set(golden["links"]) == {"salesforce", "dynamics"}
        for path, status in (
            ("/v1/golden/account/nobody", 404),
            (f"/v1/golden/contact/{canonical}", 404),
            ("/v1/xref/dynamics/nobody", 404),
            ("/health/live", 200),
            ("/health/ready", 200),
            ("/openapi.json", 200),
            ("/metrics", 200),
            ("/", 200),
        ):
            async with session.get(path) as response:
                assert response.status == status, path
        async with session.get("/metrics") as response:
            assert 'isthmus_changes_total{entity="account",outcome="received",system="salesforce"}' in (
                await response.text()
            )
