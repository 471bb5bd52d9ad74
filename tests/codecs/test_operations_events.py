"""Events of Finance & Operations: what makes them a hint, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isthmus.codecs.operations_events import STANDARD, Known, Subject, decode
from isthmus.config.errors import DecodeError

POSTED = {
    "BusinessEventId": "SalesInvoicePostedBusinessEvent",
    "ControlNumber": 1,
    "EventId": "e-1",
    "LegalEntity": "usmf",
    "SalesOrderId": "SO-1",
}
CREATED = {
    "MessageName": "OnExternalCreated",
    "PrimaryEntityName": "mserp_custcustomerv3entity",
    "InputParameters": [
        {
            "key": "Target",
            "value": {
                "Attributes": [
                    {"key": "mserp_dataareaid", "value": "usmf"},
                    {"key": "mserp_customeraccount", "value": "US-1"},
                ],
                "LogicalName": "mserp_custcustomerv3entity",
            },
        }
    ],
}


def test_a_second_delivery_has_the_same_change_id_and_another_event_has_not() -> None:
    again = json.loads(json.dumps(CREATED))
    other = {**CREATED, "MessageName": "OnExternalUpdated"}
    assert decode(CREATED)[0].change_id == decode(again)[0].change_id != decode(other)[0].change_id
    assert decode({**POSTED, "ControlNumber": 2})[0].change_id == "e-1"


def test_an_operators_own_entities_and_events_are_known() -> None:
    known = Known(
        {**STANDARD.keys, "AcmeThingEntity": ("dataAreaId", "ThingId")},
        {"ThingDoneBusinessEvent": Subject("AcmeThingEntity", {"dataAreaId": "LegalEntity", "ThingId": "Thing"})},
    )
    [change] = decode({**POSTED, "BusinessEventId": "ThingDoneBusinessEvent", "Thing": 7, "LegalEntity": "DEMF"}, known)
    assert (change.entity, change.record_id) == ("AcmeThingEntity", "dataAreaId='demf',ThingId=7")


@pytest.mark.parametrize(
    ("event", "place", "code"),
    [
        ([], "", "DECODE"),
        ({}, "BusinessEventId", "DECODE"),
        ({**POSTED, "EventId": ""}, "EventId", "DECODE"),
        ({**POSTED, "EventTime": "yesterday"}, "EventTime", "DECODE"),
        ({**POSTED, "SalesOrderId": ""}, "SalesOrderId", "DECODE"),
        ({**POSTED, "LegalEntity": None}, "LegalEntity", "DECODE"),
        ({**POSTED, "BusinessEventId": "TeaIsReadyBusinessEvent"}, "BusinessEventId", "UNKNOWN_EVENT"),
        ({**CREATED, "MessageName": "Assign"}, "MessageName", "DECODE"),
        ({**CREATED, "InputParameters": []}, "dataAreaId", "DECODE"),
        ({**CREATED, "PrimaryEntityName": "mserp_x", "InputParameters": None}, "PrimaryEntityName", "UNKNOWN_ENTITY"),
    ],
)
def test_an_event_that_names_no_record_is_refused_with_its_place(event: Any, place: str, code: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(json.dumps(event).encode())
    assert caught.value.code == code
    assert place in str(caught.value)


def test_bytes_that_are_no_json_are_refused() -> None:
    with pytest.raises(DecodeError):
        decode(b"{")
