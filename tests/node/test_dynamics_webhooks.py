"""Webhooks that say more or less than the truth: a real Kafka, both simulators, a worker as people run it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from isthmus.config.mapping import load_mappings
from isthmus.node.demo import verdict
from isthmus.node.theatre import Progress, settle, theatre
from isthmus.node.webhooks import understand

WEBHOOKS_ALONE = {"ISTHMUS_DYNAMICS__FEED_SECONDS": "3600"}
CUT = {"x-ms-dynamics-msg-size-exceeded": "true"}


@asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    """A receiver that refuses everything."""

    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=500)

    app = web.Application()
    app.router.add_post("/", refuse)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def test_ghosts_of_what_was_rolled_back_do_no_harm(kafka: str, namespace: str, tmp_path: Path) -> None:
    more = WEBHOOKS_ALONE
    async with (
        theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=31, more=more) as stage,
        refusing() as refusal,
    ):
        there = stage.environment.create("account", {"name": "Alder"})
        before = await settle(stage, Progress(), 60)
        door, code = stage.webhook_url.split("?code=")
        stage.environment.register_webhook(door, ("WebhookKey", code), ["account"], mode="sync")
        stage.environment.register_webhook(refusal, entities=["account"], mode="sync")
        for ghost in (
            lambda: stage.environment.create("account", {"name": "Ghost"}),
            lambda: stage.environment.update("account", there, {"name": "Ghost"}),
            lambda: stage.environment.delete("account", there),
        ):
            ghost()
            await asyncio.wait_for(stage.environment.until_settled(), 30)
        assert len(stage.environment.refused) == 3
        ledger = await settle(stage, Progress(), 60)
        assert (await verdict(stage, ledger, 0.0)).problems == []
        assert [row["Name"] for row in stage.org.rows("Account").values()] == ["Alder"]
        assert ledger["totals"]["applied"] == before["totals"]["applied"]


async def test_a_body_that_was_cut_for_its_size_is_read_by_its_id(kafka: str, namespace: str, tmp_path: Path) -> None:
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=32, more=WEBHOOKS_ALONE) as stage:
        stage.environment.drop_every = 1
        made = stage.environment.create("account", {"name": "Alder"})
        await stage.environment.until_settled()
        stage.environment._failed.clear()
        names = {"MessageName": "Create", "PrimaryEntityName": "account", "PrimaryEntityId": made}
        async with (
            aiohttp.ClientSession() as session,
            session.post(stage.webhook_url, data=orjson.dumps(names), headers=CUT) as response,
        ):
            assert response.status == 204
        await settle(stage, Progress(), 60)
        assert [row["Name"] for row in stage.org.rows("Account").values()] == ["Alder"]


@pytest.mark.parametrize("message", ["Associate", "Disassociate"])
def test_only_mapped_ends_of_a_relationship_are_read(message: str) -> None:
    account, team = "11111111-2222-4333-8444-555555555555", "21111111-2222-4333-8444-555555555555"
    body = {
        "MessageName": message,
        "PrimaryEntityName": "none",
        "PrimaryEntityId": "00000000-0000-0000-0000-000000000000",
        "InputParameters": [
            {"key": "Target", "value": {"Id": account, "LogicalName": "account"}},
            {"key": "Relationship", "value": {"SchemaName": "accountteams", "PrimaryEntityRole": None}},
            {"key": "RelatedEntities", "value": [{"Id": team, "LogicalName": "team"}]},
        ],
    }
    asked = understand(load_mappings(), SimpleNamespace(value=orjson.dumps(body), headers=[]))
    assert [(one.object, one.record_id) for one in asked] == [("account", account)]
