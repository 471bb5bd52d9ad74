"""Dead letters as people handle them: the command and the HTTP API over a worker on real Kafka, also one that is killed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from msgspec.structs import replace
from test_workers import beside
from typed import typed

from isthmus.codecs.arrival import Arrival
from isthmus.codecs.change import Change
from isthmus.codecs.frames import encode
from isthmus.node.stagehand import Worker
from isthmus.node.theatre import Progress, Theatre, settle, theatre

TOKEN = "an-operators-token"
TOO_LONG = "x" * 200  # for Dynamics


@pytest.fixture
async def stage(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Theatre]:
    """Simulators and a ready worker with an operator."""
    more = {"ISTHMUS_NODE__OPERATOR_TOKEN": TOKEN}
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=6, more=more) as stage:
        yield stage


async def isthmus(stage: Theatre, *arguments: str, code: int = 0, **more: str) -> Any:
    """`isthmus dead`."""
    return await typed(stage.worker.settings, "dead", *arguments, code=code, **more)


async def strange(stage: Theatre, number: int) -> None:
    """Changes of an object that is mapped to nothing, each of a record of its own."""
    told = Change("salesforce", "Nothing", "", "update", {"Name": "a"}, (), "1", None, None, None, "")
    changes = [replace(told, record_id=f"00{one:04}", change_id=f"sf:{one}") for one in range(number)]
    async with AIOKafkaProducer(bootstrap_servers=stage.bootstrap) as producer:
        for part, change in enumerate(changes):
            frame = encode([Arrival(change, "tx")])
            await producer.send(f"{stage.namespace}changes.salesforce", frame, partition=part % 4)


async def test_a_write_that_was_refused_is_found_replayed_and_never_puts_old_over_new(stage: Theatre) -> None:
    account = stage.org.create("Account", {"Name": TOO_LONG})
    await settle(stage, Progress(), 60)
    (letter,) = (await isthmus(stage, "list", "--json", "--system", "dynamics"))["letters"]
    assert (letter["stage"], letter["entity"], letter["state"]) == ("deliver", "account", "open")
    shown = await isthmus(stage, "show", letter["id"], "--json")
    assert shown["change"]["fields"]["name"] == TOO_LONG
    assert len(shown["attempts"]) == 1
    done = await isthmus(stage, "replay", letter["id"], "--json", code=0)  # and it is refused again
    assert done["replayed"] == 1
    await settle(stage, Progress(), 60)
    (again,) = (await isthmus(stage, "list", "--json"))["letters"]
    assert (again["id"], again["died"], again["state"]) == (letter["id"], 2, "open")
    stage.org.update("Account", account, {"Name": "Alder"})
    await settle(stage, Progress(), 60)
    assert "1 replayed" in await isthmus(stage, "replay", "--all", "--yes")
    assert "replayed already" in await isthmus(stage, "replay", letter["id"], code=1)
    ledger = await settle(stage, Progress(), 60)
    assert [row["name"] for row in stage.environment.rows("account").values()] == ["Alder"]
    assert ledger["balanced"]
    deliveries = ledger["deliveries"]["dynamics/account"]
    assert (deliveries["dead"], deliveries["superseded"], deliveries["written"]) == (0, 2, 1)


async def test_a_broken_webhook_is_edited_with_who_and_what_and_followed_once(stage: Theatre) -> None:
    async with aiohttp.ClientSession() as session, session.post(stage.webhook_url, data=b"{}") as response:
        assert response.status == 204
    before = await settle(stage, Progress(), 60)
    assert before["totals"]["dead"] == 1
    (letter,) = (await isthmus(stage, "list", "--json", "--code", "DECODE", "--since", "1h", "--text", "messagename"))[
        "letters"
    ]
    await isthmus(stage, "edit", letter["id"], "--by", "ada", EDITOR="sed -i s/{}/nonsense/", code=1)
    row = stage.environment.create("account", {"name": "Birch"})
    body = {"MessageName": "Update", "PrimaryEntityName": "account", "PrimaryEntityId": row}
    body |= {"CorrelationId": "c", "OperationId": "o"}
    path = Path(stage.worker.settings["ISTHMUS_NODE__DATA_DIR"]) / "letter.json"
    path.write_bytes(orjson.dumps(body))
    await isthmus(stage, "edit", letter["id"], "--file", str(path), "--by", "ada")
    assert "2 replayed" not in await isthmus(stage, "replay", letter["id"], "--by", "ada")
    shown = await isthmus(stage, "show", letter["id"], "--json")
    assert [(deed["done"], deed["by"]) for deed in shown["deeds"]] == [
        ("refused", "ada"),
        ("edited", "ada"),
        ("replayed", "ada"),
    ]
    assert [(edit["before"], orjson.loads(edit["after"])["PrimaryEntityId"]) for edit in shown["edits"]] == [
        ("{}", row)
    ]
    ledger = await settle(stage, Progress(), 60)
    assert ledger["balanced"]
    assert ledger["subjects"]["dynamics/unknown"]["dead"] == 0


async def test_many_are_replayed_through_a_kill_and_each_dies_once_more_and_no_more(stage: Theatre) -> None:
    await strange(stage, 60)
    ledger = await settle(stage, Progress(), 60)
    assert ledger["subjects"]["salesforce/Nothing"]["dead"] == 60
    replaying = asyncio.create_task(_replay_all(stage))
    await ordered(stage)
    await stage.worker.kill(signal.SIGKILL)
    await stage.worker.start()
    await replaying
    ledger = await settle(stage, Progress(), 90)
    letters = (await isthmus(stage, "list", "--json", "--limit", "1000"))["letters"]
    assert {2} <= {letter["died"] for letter in letters} <= {1, 2}
    assert len(letters) == 60
    assert ledger["subjects"]["salesforce/Nothing"] == {
        "received": 60, "applied": 0, "unchanged": 0, "echo": 0, "parked": 0, "dead": 60, "in_flight": 0, "reread": 0,
    }  # fmt: skip
    assert "60 discarded" in await isthmus(stage, "discard", "--all", "--yes", "--system", "salesforce")
    assert (await isthmus(stage, "list", "--json", "--state", "open"))["total"] == 0


async def ordered(stage: Theatre) -> None:
    """Wait until orders are on Kafka."""
    parts = [TopicPartition(f"{stage.namespace}letters", number) for number in range(4)]
    async with asyncio.timeout(30), AIOKafkaConsumer(bootstrap_servers=stage.bootstrap) as consumer:
        while not any((await consumer.end_offsets(parts)).values()):
            await asyncio.sleep(0.005)


async def _replay_all(stage: Theatre) -> None:
    """One request for all, whose answer a kill may take away."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(base_url=stage.worker.url, headers=headers) as session:
        async with session.get("/v1/dead?limit=1000") as response:
            ids = [letter["id"] for letter in (await response.json())["letters"]]
        try:
            async with session.post("/v1/dead/replay", json={"ids": ids, "by": "ada"}) as response:
                await response.read()
        except aiohttp.ClientError:
            pass


async def test_either_of_two_workers_lists_all_letters_page_by_page_and_replays_any(
    stage: Theatre, namespace: str, tmp_path: Path
) -> None:
    second = Worker(beside(stage.worker.settings, tmp_path, namespace), tmp_path / "second.log")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with second, aiohttp.ClientSession(base_url=second.url, headers=headers) as session:
        await second.ready()
        await strange(stage, 20)
        await settle(stage, Progress(), 90)
        found: list[str] = []
        before = ""
        while before is not None:
            async with session.get("/v1/dead", params={"limit": "7", "before": before}) as response:
                page = await response.json()
            assert (page["total"], page["complete"]) == (20, True)
            found += [letter["id"] for letter in page["letters"]]
            before = page["next"]
        assert len(found) == len(set(found)) == 20
        async with session.post(
            "/v1/dead/replay", json={"ids": [*found, "0-0123456789abcdef"], "by": "ada"}
        ) as response:
            results = (await response.json())["results"]
        assert [one["done"] for one in results] == ["replayed"] * 20 + ["missing"]


async def test_who_has_no_token_reads_and_changes_nothing(stage: Theatre) -> None:
    await strange(stage, 1)
    await settle(stage, Progress(), 60)
    async with aiohttp.ClientSession(base_url=stage.worker.url) as session:
        async with session.get("/v1/dead") as response:
            (letter,) = (await response.json())["letters"]
        order = {"ids": [letter["id"]], "by": "eve"}
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
            for path in ("replay", "discard", f"{letter['id']}/edit"):
                async with session.post(f"/v1/dead/{path}", json=order, headers=headers) as response:
                    assert response.status == 401
        for path, status in (
            ("/v1/dead?limit=0", 400),
            ("/v1/dead?since=yesterday", 400),
            ("/v1/dead?sytem=x", 400),
            ("/v1/dead/0-0123456789abcdef", 404),
            ("/v1/dead/9999-0123456789abcdef", 404),
            ("/v1/dead/nonsense", 404),
            (f"/v1/dead/{letter['id']}", 200),
        ):
            async with session.get(path) as response:
                assert response.status == status, path
        async with session.post(
            "/v1/dead/replay", json={"ids": []}, headers={"Authorization": f"Bearer {TOKEN}"}
        ) as response:
            assert response.status == 400
        async with session.get(f"/v1/dead/{letter['id']}") as response:
            assert (await response.json())["deeds"] == []
    await stage.worker.stop()
    del stage.worker.settings["ISTHMUS_NODE__OPERATOR_TOKEN"]  # type: ignore[attr-defined]
    await stage.worker.start()
    await stage.worker.ready()
    url, headers = f"{stage.worker.url}/v1/dead/replay", {"Authorization": "Bearer "}
    async with aiohttp.ClientSession() as session, session.post(url, json=order, headers=headers) as response:
        assert response.status == 403
    assert "operator_token" in await isthmus(stage, "replay", letter["id"], code=2)
