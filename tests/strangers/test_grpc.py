"""The simulated Pub/Sub API through a client that is generated from Salesforce's published proto."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import aiohttp
import pytest

pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed: pip install -e '.[strangers]'")

from isthmus.codecs.pubsub import pubsub_api_pb2
from isthmus.simulators.salesforce import SalesforceOrg, serve_pubsub, serve_salesforce
from isthmus.simulators.salesforce.subscription import replay_bytes

PROTO = Path(pubsub_api_pb2.__file__).with_name("pubsub_api.proto")
STRANGER = Path(__file__).with_name("pubsub_stranger.py")
ALL = "/data/ChangeEvents"


@pytest.fixture
def org() -> SalesforceOrg:
    return SalesforceOrg(seed=5)


async def test_a_stranger_with_stubs_from_the_proto_reads_every_event(org: SalesforceOrg, tmp_path: Path) -> None:
    record_id = org.create("Account", {"Name": "Alder", "BillingCity": "Ulm"})
    org.update("Account", record_id, {"Phone": "1", "BillingCity": None})
    org.create("Contact", {"FirstName": "Ada", "LastName": "Alder"})
    org.delete("Account", record_id)
    stubs = [f"-I{PROTO.parent}", f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}", PROTO.name]
    await finished("-m", "grpc_tools.protoc", *stubs, cwd=tmp_path)
    (tmp_path / "stranger.py").write_text(STRANGER.read_text())
    async with serve_salesforce(org) as url, serve_pubsub(org) as service, aiohttp.ClientSession() as session:
        form = {"grant_type": "client_credentials", "client_id": org.client_id, "client_secret": org.client_secret}
        async with session.post(f"{url}/services/oauth2/token", data=form) as response:
            token = (await response.json())["access_token"]
        gate = service.url.removeprefix("grpc://")
        out = await finished("stranger.py", gate, token, url, org.org_id, ALL, "4", cwd=tmp_path)
    topic, *events, last = (json.loads(line) for line in out.splitlines())
    assert topic == {"topic": ALL, "can_subscribe": True}
    assert last == {"asked": 2, "schemas": 2}
    told = [event["event"] for event in events]
    assert [one["ChangeEventHeader"]["changeType"] for one in told] == ["CREATE", "UPDATE", "CREATE", "DELETE"]
    assert (told[0]["Name"], told[0]["BillingAddress"]["City"]) == ("Alder", "Ulm")
    assert told[2]["Name"] == {"Salutation": None, "FirstName": "Ada", "LastName": "Alder"}
    assert isinstance(told[0]["CreatedDate"], int)
    city = f"{[*told[0]].index('BillingAddress')}-0x02"
    assert told[1]["ChangeEventHeader"]["nulledFields"] == [city]
    assert city in told[1]["ChangeEventHeader"]["changedFields"]
    assert [event["replay"] for event in events] == [replay_bytes(one.replay_id).hex() for one in org.events]


async def finished(*arguments: str, cwd: Path) -> str:
    """What a Python program printed; it has to end well."""
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=cwd, stdout=pipe, stderr=pipe)
    async with asyncio.timeout(60):
        out, err = await running.communicate()
    assert running.returncode == 0, err.decode()
    return out.decode()
