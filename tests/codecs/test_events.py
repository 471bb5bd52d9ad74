"""Canonical events, read by a library of others."""

from __future__ import annotations

from typing import Any

import orjson
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from cloudevents.core.formats.json import JSONFormat

from isthmus.codecs.asyncapi import asyncapi
from isthmus.codecs.cloud_events import CanonicalEvent, to_kafka
from isthmus.codecs.events import KINDS, Body, Changed, EventData, EventHeaders, Source

CAUSE = Source("salesforce", "001S", "2026-01-01T00:00:00Z", "x")
BODY = Body(
    entity="account",
    id="c-1",
    revision=3,
    cause=CAUSE,
    changed={
        "name": Changed("B", "A", "owner salesforce"),
        "city": Changed(None, "Ulm", "last_writer", Source("dynamics", "d", "2025-01-01T00:00:00Z", "y")),
    },
    links={"salesforce": {"001S": True}},
)
EVENT = CanonicalEvent("updated", "t-9", BODY)


def test_the_cloudevents_library_reads_an_event() -> None:
    key, value, headers = to_kafka(EVENT)
    read: Any = from_binary_event(KafkaMessage(headers=dict(headers), key=key, value=value), JSONFormat())
    assert (read.get_id(), read.get_type(), read.get_subject()) == ("c-1/3", "isthmus.account.updated", "c-1")
    assert (read.get_source(), read.get_specversion()) == ("/isthmus", "1.0")
    assert read.get_extension("correlationid") == "t-9"
    assert read.get_data()["changed"]["name"]["previous"] == "A"


def test_an_event_is_what_its_schema_says() -> None:
    _, value, headers = to_kafka(EVENT)
    data = EventData.model_validate_json(value)
    assert data.changed["name"].value == "B"
    assert data.changed["name"].source is None
    assert data.cause.change_id == "x"
    told = data.changed["city"].source
    assert told is not None
    assert told.change_id == "y"
    named = {name.replace("-", "_"): text.decode() for name, text in headers if name.startswith("ce_")}
    assert EventHeaders(**named).ce_id == "c-1/3"


def test_an_event_whose_time_is_not_known_has_no_time() -> None:
    _, _, headers = to_kafka(
        CanonicalEvent("linked", "t", Body("account", "c", 2, Source("dynamics", "d", "", ""), {}, {}))
    )
    assert "ce_time" not in dict(headers)


def test_the_asyncapi_document_has_a_channel_an_entity_and_every_type() -> None:
    document = asyncapi(["account", "contact"])
    assert set(document["channels"]) == {"events.account", "events.contact"}
    headers = document["components"]["messages"]["account"]["headers"]["allOf"][1]
    assert headers["properties"]["ce_type"]["enum"] == [f"isthmus.account.{kind}" for kind in KINDS]
    text = orjson.dumps(document).decode()
    for reference in text.split('"$ref":"#/')[1:]:
        place: Any = document
        for part in reference.split('"')[0].split("/"):
            place = place[part]
        assert place
