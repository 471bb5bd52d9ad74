"""Dynamics webhooks: exactness, identity, and faults that say where. The forms of messages are in golden/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codecs.change import Change
from isthmus.codecs.dynamics_webhook import decode
from isthmus.codecs.frames import Elements, encode
from isthmus.config.errors import DecodeError

GOLDEN = Path(__file__).parent / "golden"
RECORD = "ec4e2f7d-9d60-e811-a95a-000d3af24950"
NOBODY = "00000000-0000-0000-0000-000000000000"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def target(**attributes: Any) -> dict[str, Any]:
    bag = [{"key": key, "value": value} for key, value in attributes.items()]
    return {"__type": "Entity:x", "Attributes": bag, "Id": RECORD, "LogicalName": "account"}


def context(found: Any = None, parameter: str = "Target", **more: Any) -> dict[str, Any]:
    return {"MessageName": "Update", "InputParameters": [{"key": parameter, "value": found or target()}], **more}


@pytest.mark.parametrize("amount", ["2154.32", "100.00", "12345678901234567890.1234", "0.10", "-5", "1000000"])
def test_money_keeps_every_digit_that_was_sent(amount: str) -> None:
    raw = json.dumps(context(target(creditlimit={"__type": "Money:x", "Value": "#"}))).replace('"#"', amount).encode()
    assert decode(raw)[0].fields == {"creditlimit": amount}


@pytest.mark.parametrize(
    ("printed", "true"),
    [
        # Recorded: an async body with -0700, whose row says modifiedon 2017-09-26T00:04:07Z.
        ("/Date(1506409448000-0700)/", "2017-09-26T00:04:08Z"),
        ("/Date(1608007658000+0000)/", "2020-12-15T04:47:38Z"),
        ("/Date(1608000458000+0200)/", "2020-12-15T04:47:38Z"),
        ("/Date(1608007658000)/", "2020-12-15T04:47:38Z"),
        ("/Date(1608007658120)/", "2020-12-15T04:47:38.120Z"),
    ],
)
def test_a_printed_offset_is_added_to_the_milliseconds(printed: str, true: str) -> None:
    assert decode(context(OperationCreatedOn=printed))[0].changed_at == true


def test_escaped_slashes_are_slashes() -> None:
    raw = json.dumps(context(OperationCreatedOn="/Date(0)/")).replace("/", "\\/").encode()
    assert decode(raw)[0].changed_at == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("modified", "told"),
    [("/Date(1000)/", "1970-01-01T00:00:01Z"), ("soon", "1970-01-01T00:00:00Z"), (None, "1970-01-01T00:00:00Z")],
)
def test_the_row_knows_best_when_it_was_changed(modified: str | None, told: str) -> None:
    [change] = decode(context(target(modifiedon=modified), OperationCreatedOn="/Date(0)/"))
    assert change.changed_at == told


def test_the_nearest_tag_is_the_origin_and_else_the_user() -> None:
    def tagged(value: str) -> list[dict[str, str]]:
        return [{"key": "tag", "value": value}]

    parents = {"SharedVariables": [], "ParentContext": {"SharedVariables": tagged("far")}}
    assert decode(context(SharedVariables=tagged("near"), ParentContext=parents))[0].origin == "near"
    assert decode(context(ParentContext=parents, UserId=RECORD))[0].origin == "far"
    assert decode(context(InitiatingUserId=NOBODY, UserId="{" + RECORD.upper() + "}"))[0].origin == RECORD
    assert decode(context())[0].origin is None


def test_a_second_delivery_has_the_same_change_id_and_another_operation_has_not() -> None:
    known = {"OrganizationId": "o", "OwningExtension": {"Id": "s"}, "OperationId": "1", "PrimaryEntityId": RECORD}
    [first] = decode(context(**known, RequestId="a"))
    assert first.change_id == f"o:s:1:Update:{RECORD}"
    assert decode(context(**known, RequestId=None, CorrelationId="c"))[0].change_id == first.change_id
    assert decode(context(**{**known, "OperationId": "2"}))[0].change_id != first.change_id


def test_without_an_operation_id_other_content_is_another_change() -> None:
    one, again, other = (decode(context(target(fax=fax), CorrelationId="c"))[0].change_id for fax in ("1", "1", "2"))
    assert one == again != other


def test_the_records_of_a_message_have_ids_of_their_own() -> None:
    message = json.loads((GOLDEN / "dynamics_update_multiple.json").read_text())["input"]
    changes = decode(message)
    assert len({change.change_id for change in changes}) == len(changes) == 2


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ([], "is an object"),
        ({}, "^MessageName: is missing"),
        ({"MessageName": ""}, "^MessageName: is missing"),
        ({"MessageName": "Update"}, "^PrimaryEntityId: names no record"),
        ({"MessageName": "Update", "PrimaryEntityId": NOBODY}, "^PrimaryEntityId: names no record"),
        ({"MessageName": "Update", "PrimaryEntityId": RECORD}, "^PrimaryEntityName: names no table"),
        ({"MessageName": "Update", "InputParameters": {}}, "^InputParameters: is no array"),
        (context(InputParameters=[{"value": 1}]), r"^InputParameters\[0\]: is no pair"),
        (context("x"), r"^InputParameters\[0\]\.value: is neither"),
        (context({"LogicalName": "account", "Id": "x"}), r"^InputParameters\[0\]\.value\.Id: names no record"),
        (
            context(target(a=1, b={"__type": "OptionSetValue:x", "Value": "1"})),
            r"^InputParameters\[0\]\.value\.Attributes\[1\]\.value\.Value: is no whole number",
        ),
        (
            context(target(a={"__type": "Money:x", "Value": "much"})),
            r"^InputParameters\[0\]\.value\.Attributes\[0\]\.value\.Value: is no amount",
        ),
        (
            context(target(a=[{"LogicalName": "account", "Id": None}])),
            r"^InputParameters\[0\]\.value\.Attributes\[0\]\.value\[0\]\.Id: None is no GUID",
        ),
        (
            context(target(a="/Date(999999999999999999)/")),
            r"^InputParameters\[0\]\.value\.Attributes\[0\]\.value: .* beyond the calendar",
        ),
        (context(OperationCreatedOn="yesterday"), "^OperationCreatedOn: 'yesterday' is no date"),
        (context(ParentContext={"SharedVariables": 5}), r"^ParentContext\.SharedVariables: is no array"),
        (
            context({"Entities": [target(), {"LogicalName": "account"}]}, "Targets", PrimaryEntityId=RECORD),
            r"^InputParameters\[0\]\.value\.Entities\[1\]\.Id: names no record",
        ),
    ],
)
def test_a_fault_says_where_it_is(message: Any, told: str) -> None:
    with pytest.raises(DecodeError, match=told):
        decode(message)


def checked(raw: bytes) -> None:
    """Decoding either refuses, or gives changes that survive the wire."""
    try:
        changes = decode(raw)
    except DecodeError:
        return
    assert Elements(Change).decode(encode(changes), "here") == changes


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_anything_is_decoded_or_refused(raw: bytes) -> None:
    checked(raw)


@given(json_values)
def test_any_attribute_is_decoded_or_refused(value: Any) -> None:
    checked(json.dumps(context(target(anything=value))).encode())


@given(st.sampled_from(sorted(GOLDEN.glob("dynamics_*.json"))), st.data())
def test_a_context_with_one_thing_out_of_place_is_decoded_or_refused(file: Path, data: st.DataObject) -> None:
    message = json.loads(file.read_text())["input"]
    holder: Any = message
    while True:
        at = data.draw(st.sampled_from(list(holder) if isinstance(holder, dict) else list(range(len(holder)))))
        if not holder[at] or not isinstance(holder[at], dict | list) or data.draw(st.integers(0, 4)) == 0:
            break
        holder = holder[at]
    holder[at] = data.draw(json_values)
    checked(json.dumps(message).encode())
