"""The environment as strangers' clients see it: Microsoft's Dataverse SDK and azure-identity, over https."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

pytest.importorskip(
    "PowerPlatform", reason="PowerPlatform-Dataverse-Client is not installed: pip install -e '.[strangers]'"
)

from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential
from PowerPlatform.Dataverse.client import DataverseClient
from PowerPlatform.Dataverse.core.errors import HttpError
from PowerPlatform.Dataverse.models.upsert import UpsertItem

from isthmus.simulators.dynamics import DynamicsEnvironment, Served, serve_dynamics


@pytest.fixture
def environment() -> DynamicsEnvironment:
    return DynamicsEnvironment(seed=7)


@pytest.fixture
async def served(environment: DynamicsEnvironment, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    async with serve_dynamics(environment) as served:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(served.ca_file))
        yield served


@pytest.fixture
def credential(environment: DynamicsEnvironment, served: Served) -> ClientSecretCredential:
    return entra(environment, served, environment.client_secret)


def entra(environment: DynamicsEnvironment, served: Served, secret: str) -> ClientSecretCredential:
    return ClientSecretCredential(
        environment.tenant,
        environment.client_id,
        secret,
        authority=served.https_url,
        disable_instance_discovery=True,
        connection_verify=str(served.ca_file),
    )


async def with_sdk(served: Served, credential: Any, use: Callable[[DataverseClient], Any]) -> Any:
    """Runs blocking client code in a thread, as the server lives in this loop."""

    def run() -> Any:
        with DataverseClient(served.https_url, credential) as client:
            return use(client)

    return await asyncio.to_thread(run)


async def test_the_sdk_creates_gets_updates_lists_and_deletes(
    environment: DynamicsEnvironment, served: Served, credential: ClientSecretCredential
) -> None:
    def story(client: DataverseClient) -> dict[str, Any]:
        made = client.records.create(
            "account", {"name": "Contoso", "creditlimit": 5000.5, "industrycode": "Accounting"}
        )
        client.records.update("account", made, {"telephone1": "555-0100"})
        client.records.create("account", {"name": "O'Hara & Sons"})
        read = client.records.retrieve("account", made, select=["name", "telephone1", "creditlimit", "industrycode"])
        listed = client.records.list("account", filter="name eq 'O''Hara & Sons'", select=["name"])
        client.records.delete("account", made)
        return {"id": made, "read": dict(read.data), "listed": [one["name"] for one in listed]}

    told = await with_sdk(served, credential, story)

    assert told["read"]["name"] == "Contoso"
    assert told["read"]["telephone1"] == "555-0100"
    assert told["read"]["creditlimit"] == 5000.5
    assert told["read"]["industrycode"] == 1, "the SDK resolves a choice's label through the metadata"
    assert told["listed"] == ["O'Hara & Sons"]
    assert told["id"] not in environment.rows("account")


async def test_the_sdk_upserts_by_alternate_key(
    environment: DynamicsEnvironment, served: Served, credential: ClientSecretCredential
) -> None:
    def story(client: DataverseClient) -> None:
        for name in ("First", "Second"):
            client.records.upsert("account", [UpsertItem({"isthmus_id": "iso-1"}, {"name": name})])
        many = [UpsertItem({"isthmus_id": f"iso-{n}"}, {"name": f"Many {n}"}) for n in (1, 2)]
        client.records.upsert("account", many)

    await with_sdk(served, credential, story)

    rows = environment.rows("account").values()
    assert sorted((row["isthmus_id"], row["name"]) for row in rows) == [("iso-1", "Many 1"), ("iso-2", "Many 2")]


async def test_the_sdk_creates_updates_and_deletes_many(
    environment: DynamicsEnvironment, served: Served, credential: ClientSecretCredential
) -> None:
    def story(client: DataverseClient) -> list[str]:
        made = client.records.create("contact", [{"firstname": "Ada", "lastname": f"L{n}"} for n in range(3)])
        client.records.update("contact", made, {"jobtitle": "Buyer"})
        client.records.delete("contact", made[:2])
        return list(made)

    made = await with_sdk(served, credential, story)

    rows = environment.rows("contact")
    assert list(rows) == made[2:]
    assert rows[made[2]]["fullname"] == "Ada L2"
    assert rows[made[2]]["jobtitle"] == "Buyer"


async def test_the_sdk_reads_pages_to_the_end(
    environment: DynamicsEnvironment, served: Served, credential: ClientSecretCredential
) -> None:
    for number in range(7):
        environment.create("account", {"name": f"A & {number}"})

    def story(client: DataverseClient) -> list[list[str]]:
        pages = client.records.list_pages(
            "account", filter="startswith(name,'A & ')", orderby=["name desc"], page_size=3
        )
        return [[row["name"] for row in page] for page in pages]

    pages = await with_sdk(served, credential, story)

    assert [len(page) for page in pages] == [3, 3, 1]
    assert [name for page in pages for name in page] == [f"A & {n}" for n in range(6, -1, -1)]


async def test_the_sdk_batches_changesets_and_reads(
    environment: DynamicsEnvironment, served: Served, credential: ClientSecretCredential
) -> None:
    existing = environment.create("account", {"name": "Before"})

    def story(client: DataverseClient) -> Any:
        batch = client.batch.new()
        with batch.changeset() as changes:
            reference = changes.records.create("account", {"name": "In a batch"})
            changes.records.update("account", existing, {"name": "After"})
            changes.records.update("account", reference, {"telephone1": "1"})
        batch.records.retrieve("account", existing, select=["name"])
        return batch.execute()

    result = await with_sdk(served, credential, story)

    assert [one.status_code for one in result.responses] == [204, 204, 204, 200]
    assert result.responses[3].data["name"] == "After"
    made = environment.row("account", result.responses[0].entity_id)
    assert (made["name"], made["telephone1"]) == ("In a batch", "1")


async def test_a_changeset_of_the_sdk_is_all_or_nothing(
    environment: DynamicsEnvironment, served: Served, credential: ClientSecretCredential
) -> None:
    def story(client: DataverseClient) -> Any:
        batch = client.batch.new()
        with batch.changeset() as changes:
            changes.records.create("account", {"name": "Good"})
            changes.records.create("account", {"name": "x" * 161})
        return batch.execute(continue_on_error=True)

    result = await with_sdk(served, credential, story)

    assert [one.status_code for one in result.responses] == [400]
    assert result.responses[0].error_code == "0x80044331"
    assert environment.rows("account") == {}


async def test_the_sdk_sees_keys_and_throttling(
    environment: DynamicsEnvironment, served: Served, credential: ClientSecretCredential
) -> None:
    environment.fail_next(1, 429, "0x80072322", retry_after=7)

    def story(client: DataverseClient) -> tuple[Any, HttpError]:
        keys = client.tables.get_alternate_keys("account")
        with pytest.raises(HttpError) as caught:
            client.records.create("account", {"name": "Too many"})
        return keys, caught.value

    keys, refusal = await with_sdk(served, credential, story)

    assert [key.key_attributes for key in keys] == [["isthmus_id"]]
    assert (refusal.status_code, refusal.details["service_error_code"]) == (429, "0x80072322")
    assert refusal.details["retry_after"] == 7
    assert "6000 over time window of 300 seconds" in str(refusal)


async def test_entra_refuses_a_wrong_secret(environment: DynamicsEnvironment, served: Served) -> None:
    wrong = entra(environment, served, "guess")
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        await asyncio.to_thread(wrong.get_token, f"{served.https_url}/.default")
