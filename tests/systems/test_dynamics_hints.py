"""Webhooks: who may send them, and which record they hint at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict, MultiDict

from isthmus.config.errors import DecodeError
from isthmus.systems.dynamics.webhook import Hint, Keys, authenticate, hint

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "dynamics"
CONTRACTS = "http://schemas.microsoft.com/xrm/2011/Contracts"
RECORD = "7d1c0c6e-0b3b-eb11-a813-000d3a64cb85"


def body(message: str, target: dict[str, Any] | None, **more: Any) -> bytes:
    """A webhook body with the fields that matter here."""
    inputs = [] if target is None else [{"key": "Target", "value": target}]
    context = {
        "CorrelationId": "b0d5b1f8-9d2c-4d0b-a2c5-4d2f4b7f2b1a",
        "MessageName": message,
        "OperationId": "c1d5b1f8-9d2c-4d0b-a2c5-4d2f4b7f2b1b",
        "OrganizationId": "d2d5b1f8-9d2c-4d0b-a2c5-4d2f4b7f2b1c",
        "OwningExtension": {"Id": "e3d5b1f8-9d2c-4d0b-a2c5-4d2f4b7f2b1d"},
        "PrimaryEntityId": RECORD.upper(),
        "PrimaryEntityName": "account",
        "InputParameters": inputs,
        **more,
    }
    return json.dumps(context).encode()


def entity(**attributes: Any) -> dict[str, Any]:
    told = [{"key": name, "value": value} for name, value in attributes.items()]
    return {"__type": f"Entity:{CONTRACTS}", "Attributes": told, "Id": RECORD, "LogicalName": "account"}


def reference() -> dict[str, Any]:
    return {"__type": f"EntityReference:{CONTRACTS}", "Id": RECORD, "LogicalName": "account"}


# -- who


CODE = Keys("key", ("new", "old"))
HEADER = Keys("header", ("new", "old"), "X-Isthmus")
QUERY = Keys("query", ("new", "old"), "token")


@pytest.mark.parametrize(
    ("keys", "headers", "query", "expected"),
    [
        (CODE, {}, {"code": "new"}, True),
        (CODE, {}, {"code": "old"}, True),
        (CODE, {}, {"code": "older"}, False),
        (CODE, {}, {"code": ""}, False),
        (CODE, {}, {}, False),
        (CODE, {"code": "new"}, {}, False),
        (HEADER, {"x-isthmus": "old"}, {}, True),
        (HEADER, {"X-ISTHMUS": "new"}, {}, True),
        (HEADER, {"X-Isthmus": "ne"}, {}, False),
        (HEADER, {}, {"X-Isthmus": "new"}, False),
        (QUERY, {}, {"token": "new"}, True),
        (QUERY, {}, {"code": "new"}, False),
        (QUERY, {"token": "new"}, {}, False),
    ],
)
def test_a_request_proves_itself_where_its_kind_says(
    keys: Keys, headers: dict[str, str], query: dict[str, str], expected: bool
) -> None:
    assert authenticate(CIMultiDict(headers), MultiDict(query), keys) is expected
    assert authenticate(headers, query, keys) is expected


def test_an_empty_key_lets_nobody_in() -> None:
    assert authenticate({}, {"code": ""}, Keys("key", ("",))) is False
    assert authenticate({}, {"code": ""}, Keys("key", ())) is False


def test_a_key_that_is_no_text_is_refused_not_a_failure() -> None:
    assert authenticate({"X-Isthmus": "ne\udcff"}, {}, HEADER) is False
    assert authenticate({}, {"code": "schlüssel"}, Keys("key", ("schlüssel",))) is True


def test_keys_are_not_shown() -> None:
    assert "old" not in repr(CODE)


# -- what


@pytest.mark.parametrize(
    ("message", "target", "operation"),
    [
        ("Create", entity(name="Alder"), "create"),
        ("Update", entity(name="Birch"), "update"),
        ("Delete", reference(), "delete"),
    ],
)
def test_a_webhook_hints_at_its_record(message: str, target: dict[str, Any], operation: str) -> None:
    (told,) = hint(body(message, target), {})
    assert (told.object, told.record_id, told.operation) == ("account", RECORD, operation)
    assert told.correlation == "b0d5b1f8-9d2c-4d0b-a2c5-4d2f4b7f2b1a"


def test_a_second_delivery_is_the_same_hint() -> None:
    assert hint(body("Update", entity(name="Birch")), {}) == hint(body("Update", entity(name="Birch")), {})


def test_a_body_cut_for_its_size_still_hints() -> None:
    cut = json.loads(body("Update", None))
    del cut["InputParameters"]
    (told,) = hint(json.dumps(cut).encode(), {"x-ms-dynamics-msg-size-exceeded": "300000"})
    assert (told.object, told.record_id, told.operation) == ("account", RECORD, "update")


@pytest.mark.parametrize("name", ["x-ms-dynamics-request-name", "X-MS-Dynamics-Request-Name"])
def test_a_heartbeat_is_answered_without_reading_it(name: str) -> None:
    assert hint(b"whatever", {name: "URL_VALIDATION"}) == []


def test_a_merge_hints_at_both() -> None:
    merge = json.loads(body("Merge", reference()))
    loser = "8e1c0c6e-0b3b-eb11-a813-000d3a64cb85"
    merge["InputParameters"].append({"key": "SubordinateId", "value": loser})
    assert {told.record_id for told in hint(json.dumps(merge).encode(), {})} == {RECORD, loser}


@pytest.mark.parametrize("bad", [b"", b"{}", b"[]", b"<html/>", b'{"MessageName": "Update"}'])
def test_a_body_that_is_no_context_is_a_decode_error(bad: bytes) -> None:
    with pytest.raises(DecodeError):
        hint(bad, {})


def test_real_webhooks_hint_at_their_records() -> None:
    files = sorted(SAMPLES.glob("webhook-*.json"))
    if not files:
        pytest.skip("the samples are not here")
    for file in files:
        hints = hint(file.read_bytes(), {})
        assert hints, file.name
        assert all(isinstance(told, Hint) and told.record_id == told.record_id.lower() for told in hints)
