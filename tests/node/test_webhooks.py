"""Events of Finance & Operations at the door: whose they are, who may send them, and where they go."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from oracle import committed

from isthmus.codecs.arrival import Reread, native_key
from isthmus.config.mapping import Mappings, load_mappings
from isthmus.config.settings import Settings
from isthmus.node.hints import Hints, Named
from isthmus.node.webhooks import authenticator, hint_reader, name_reader
from isthmus.tables.unit import partition_of

MAPPING = """
entity: order
family: order
fields: {currency: {type: string, rule: {owner: operations}}}
systems:
  operations:
    object: SalesOrderHeaderV2Entity
    collection: SalesOrderHeadersV2
    primary_key: dataAreaId,SalesOrderNumber
    external_id: CustomersOrderReference
    fields: {currency: CurrencyCode}
"""
ORDER = "dataAreaId='usmf',SalesOrderNumber='SO-1'"
POSTED = {
    "BusinessEventId": "SalesInvoicePostedBusinessEvent",
    "EventId": "e-1",
    "EventTime": "/Date(1570769681000)/",
    "LegalEntity": "USMF",
    "SalesOrderId": "SO-1",
}


@pytest.fixture
def mappings(tmp_path: Path) -> Mappings:
    (tmp_path / "order.yaml").write_text(MAPPING)
    return load_mappings(tmp_path)


def settings(*keys: str) -> Settings:
    known = {"url": "https://o.example", "tenant": "t", "client_id": "c", "client_secret": "s", "company": "usmf"}
    return Settings.model_validate({"operations": {**known, "event_keys": keys}})


def customer() -> dict[str, Any]:
    attributes = [{"key": "mserp_dataareaid", "value": "usmf"}, {"key": "mserp_customeraccount", "value": "1"}]
    target = {"Attributes": attributes, "LogicalName": "mserp_custcustomerv3entity"}
    return {"MessageName": "OnExternalCreated", "InputParameters": [{"key": "Target", "value": target}]}


def test_an_event_asks_for_the_record_that_names_its_partition_and_under_its_own_id(mappings: Mappings) -> None:
    body, read = orjson.dumps(POSTED), hint_reader("operations", mappings)
    assert read is not None
    asked = read(SimpleNamespace(value=body))
    assert asked == [
        Reread("SalesOrderHeaderV2Entity", ORDER, "e-1", nonce="e-1", at="2019-10-11T04:54:41Z"),
    ]
    assert name_reader("operations", mappings)(body) == Named(ORDER, "e-1")


def test_an_event_about_nothing_that_is_mapped_asks_for_nothing(mappings: Mappings) -> None:
    body, read = orjson.dumps(customer()), hint_reader("operations", mappings)
    assert read is not None
    assert read(SimpleNamespace(value=body)) == []
    assert name_reader("operations", mappings)(body) is None
    assert name_reader("operations", mappings)(b"{") is None


@pytest.mark.parametrize(
    ("keys", "query", "expected"),
    [
        (("old", "new"), "?code=old", True),
        (("old", "new"), "?code=new", True),
        (("old", "new"), "?code=newer", False),
        (("old", "new"), "", False),
        ((), "?code=", False),
    ],
)
def test_only_who_has_a_key_comes_in(keys: tuple[str, ...], query: str, expected: bool) -> None:
    request = make_mocked_request("POST", f"/webhooks/operations{query}")
    assert authenticator(settings(*keys), "operations")(request) is expected
    assert authenticator(settings(*keys))(request) is False


def test_keys_of_a_file_are_valid_from_when_they_are_written_and_no_restart_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("old\n")
    known = {"url": "https://o.crm.dynamics.com", "tenant": "t", "client_id": "c", "client_secret": "s"}
    read = Settings.model_validate({"dynamics": {**known, "webhook": {"keys_file": str(file)}}})
    lets_in = authenticator(read)

    def comes(key: str) -> bool:
        return lets_in(make_mocked_request("POST", f"/webhooks/dynamics?code={key}"))

    assert [comes("old"), comes("new"), comes("")] == [True, False, False]
    file.write_text("new\nold\n")
    assert [comes("old"), comes("new"), comes("")] == [True, True, False]
    file.write_text("new\n")
    assert [comes("old"), comes("new")] == [False, True]
    file.unlink()
    assert [comes("old"), comes("new"), comes("")] == [False, True, False], "what was read last holds"


async def test_an_event_waits_in_kafka_where_reads_of_its_record_are_asked_for(
    kafka: str, namespace: str, mappings: Mappings
) -> None:
    topic = f"{namespace}hints.operations"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 4, 1)])
    await admin.close()
    named = name_reader("operations", mappings)
    door = Hints(kafka, topic, 4, authenticator(settings("new"), "operations"), named, "operations")
    await door.open()
    app = web.Application()
    app.router.add_post("/", door.receive)
    try:
        async with (
            TestClient(TestServer(app)) as client,
            client.post("/?code=new", data=orjson.dumps(POSTED)) as response,
        ):
            assert response.status == 204
    finally:
        await door.close()
    [record] = await committed(kafka, topic)
    assert record.key == native_key("operations", ORDER)
    assert record.partition == partition_of(native_key("operations", ORDER), 4)
