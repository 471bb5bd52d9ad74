"""Two workers of one node: either answers for both, and the books are one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from isthmus.node.http import ENDPOINTS, openapi
from isthmus.node.stagehand import Worker, free_port
from isthmus.node.theatre import Progress, settle, theatre


async def test_either_of_two_workers_answers_for_every_key_and_both_show_the_same_whole_books(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=4) as stage:
        second = Worker(beside(stage.worker.settings, tmp_path, namespace), tmp_path / "second.log")
        async with second, aiohttp.ClientSession() as session:
            await second.ready()
            accounts = [stage.org.create("Account", {"Name": f"Alder {number}"}) for number in range(12)]
            await settle(stage, Progress(), 90)
            held: dict[str, int] = {}
            for url in (stage.worker.url, second.url):
                for account in accounts:
                    known = await told(session, f"{url}/v1/xref/salesforce/{account}")
                    golden = await told(session, f"{url}/v1/golden/account/{known['canonical']}")
                    assert set(golden["links"]) == {"salesforce", "dynamics"}
                held[url] = len((await told(session, f"{url}/v1/tally"))["lanes"])
            assert min(held.values()) > 0
            books = [await told(session, f"{url}/v1/ledger") for url in held]
            assert books[0] == books[1]
            assert books[0]["complete"]
            assert books[0]["balanced"]


def beside(settings: Mapping[str, str], folder: Path, namespace: str) -> dict[str, str]:
    """The settings of a second worker of the same node."""
    own = {
        "ISTHMUS_NODE__DATA_DIR": str(folder / "second"),
        "ISTHMUS_NODE__HTTP_PORT": str(free_port()),
        "ISTHMUS_NODE__INSTANCE": f"{namespace}two",
    }
    return {**settings, **own}


async def told(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """A worker's answer, once it has one: just after a rebalance partitions are on their way."""
    async with asyncio.timeout(30):
        while True:
            async with session.get(url) as response:
                if response.status != 503:
                    assert response.status == 200, (url, await response.text())
                    body: dict[str, Any] = await response.json()
                    return body
            await asyncio.sleep(0.1)


def test_every_endpoint_is_in_the_openapi_document_with_all_its_answers() -> None:
    paths = openapi()["paths"]
    for endpoint in ENDPOINTS:
        described = paths[endpoint.path][endpoint.method]
        assert set(described["responses"]) == {str(status) for status in endpoint.answers}
        named = {part.strip("{}") for part in endpoint.path.split("/") if part.startswith("{")}
        assert {one["name"] for one in described["parameters"]} == named | set(endpoint.query)
