"""Salesforce change events: ids, order, exactness, and faults that say where. The forms of events are in golden/."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codecs.change import Change
from isthmus.codecs.frames import Elements, encode
from isthmus.codecs.salesforce_cometd import decode
from isthmus.codecs.salesforce_event import to18
from isthmus.config.errors import DecodeError

GOLDEN = Path(__file__).parent / "golden"
HEADER: dict[str, Any] = {
    "entityName": "Account",
    "recordIds": ["0015f00002J9YaUAAV"],
    "changeType": "UPDATE",
    "transactionKey": "t",
    "sequenceNumber": 1,
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def event(header: Any = HEADER, **body: Any) -> dict[str, Any]:
    return {"payload": {"ChangeEventHeader": header, **body}}


@pytest.mark.parametrize(
    ("short", "whole"),
    [
        ("0015f00002J9YaU", "0015f00002J9YaUAAV"),
        ("001RM000004UF9s", "001RM000004UF9sYAG"),
        ("005RM000001hv4S", "005RM000001hv4SYAQ"),
        ("a00B000000AVWaZ", "a00B000000AVWaZIAX"),
        ("000000000000000", "000000000000000AAA"),
    ],
)
def test_a_short_id_becomes_the_recorded_long_one(short: str, whole: str) -> None:
    assert to18(short) == whole


ids = st.text(string.ascii_letters + string.digits, min_size=15, max_size=15)


@given(ids)
def test_making_an_id_long_twice_changes_nothing(record_id: str) -> None:
    assert to18(to18(record_id)) == to18(record_id)


@given(ids, ids)
def test_long_ids_differ_even_where_case_does_not_count(one: str, other: str) -> None:
    same_but_for_case = one.swapcase()
    assert (to18(one).lower() == to18(same_but_for_case).lower()) == (one == same_but_for_case)
    assert (to18(one) == to18(other)) == (one == other)


counts = st.tuples(st.integers(0, 2**63 - 1), st.integers(1, 2**31 - 1))


@given(counts, counts)
def test_versions_sort_as_commits_do(one: tuple[int, int], other: tuple[int, int]) -> None:
    first, second = (
        decode(event({**HEADER, "commitNumber": commit, "sequenceNumber": sequence}))[0].version
        for commit, sequence in (one, other)
    )
    assert first is not None
    assert second is not None
    assert (first < second) == (one < other)


def test_numbers_of_the_body_keep_every_digit() -> None:
    raw = json.dumps(event(Amount__c="#")).replace('"#"', "1234567890123456.78").encode()
    assert decode(raw)[0].fields == {"Amount__c": "1234567890123456.78"}


def test_the_id_of_a_change_depends_on_nothing_that_a_delivery_may_alter() -> None:
    first = {**event(Name="Acme"), "event": {"replayId": 1}, "schema": "a"}
    again = [{"data": {**event(Name="Acme"), "event": {"replayId": 2}}, "channel": "/data/X__chn"}]
    assert decode(first) == decode(again)


def test_nothing_but_the_record_tells_the_changes_of_one_event_apart() -> None:
    changes = decode(event({**HEADER, "recordIds": ["0015f00002J9YaU", "001RM000004UF9s"]}, Name="Acme"))
    assert [change.change_id for change in changes] == ["t:1:0015f00002J9YaUAAV", "t:1:001RM000004UF9sYAG"]


def without(name: str) -> dict[str, Any]:
    return event({key: value for key, value in HEADER.items() if key != name})


H = "payload.ChangeEventHeader"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({}, "neither a change event nor a Bayeux message"),
        (5, "neither a change event"),
        ([{"channel": "/data/X"}], r"^\[0\]: neither"),
        ({"data": 5}, "^data: is no object"),
        ({"data": {"event": {}, "sobject": {}}, "channel": "/topic/X"}, r"^data\.payload: is missing"),
        ([{}, event()][::-1], r"^\[1\]: neither"),
        ({"payload": {"Message__c": "x"}}, r"^payload\.ChangeEventHeader: is missing"),
        ({"data": event({})}, r"^data\.payload\.ChangeEventHeader\.changeType: is missing"),
        *((without(name), rf"^{H}\.{name}: is missing") for name in HEADER),
        (event({**HEADER, "entityName": ""}), rf"^{H}\.entityName: is missing"),
        (event({**HEADER, "changeType": "SNAPSHOT"}), rf"^{H}\.changeType: unknown change type 'SNAPSHOT'"),
        (event({**HEADER, "recordIds": []}), rf"^{H}\.recordIds: names no record"),
        (event({**HEADER, "recordIds": "0015f00002J9YaU"}), rf"^{H}\.recordIds: is no array"),
        (event({**HEADER, "recordIds": ["0015f00002J9YaU", "001"]}), rf"^{H}\.recordIds\[1\]: '001' is no record id"),
        (event({**HEADER, "recordIds": ["0015f00002J9Ya٣"]}), rf"^{H}\.recordIds\[0\]: "),
        (event({**HEADER, "commitNumber": 2**63}), rf"^{H}\.commitNumber: "),
        (event({**HEADER, "commitNumber": True}), rf"^{H}\.commitNumber: "),
        (event({**HEADER, "sequenceNumber": -1}), rf"^{H}\.sequenceNumber: "),
        (event({**HEADER, "commitTimestamp": 10**18}), rf"^{H}\.commitTimestamp: "),
        (event({**HEADER, "changeOrigin": 5}), rf"^{H}\.changeOrigin: is no text"),
        (event({**HEADER, "changedFields": ["Name", 5]}), rf"^{H}\.changedFields\[1\]: is no text"),
        (event(Name=float("nan")), r"^payload\.Name: "),
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


@given(st.sampled_from(sorted(GOLDEN.glob("salesforce_*.json"))), st.data())
def test_an_event_with_one_thing_out_of_place_is_decoded_or_refused(file: Path, data: st.DataObject) -> None:
    message = json.loads(file.read_text())["input"]
    holder: Any = message
    while True:
        at = data.draw(st.sampled_from(list(holder) if isinstance(holder, dict) else list(range(len(holder)))))
        if not holder[at] or not isinstance(holder[at], dict | list) or data.draw(st.integers(0, 4)) == 0:
            break
        holder = holder[at]
    holder[at] = data.draw(json_values)
    checked(json.dumps(message).encode())


def test_texts_that_differ_are_told_where_nothing_else_is_missing() -> None:
    header = {**HEADER, "changedFields": ["Description", "Phone"]}
    differs = {"Description": {"diff": "--- \n+++ …"}}
    (change,) = decode(event(header, **differs, Phone="7"))
    assert (change.operation, change.text_differences) == ("gap", {"Description": "--- \n+++ …"})
    assert change.fields == {"Phone": "7"}
    (silent,) = decode(event(header, **differs))
    (strange,) = decode(event(header, Description={"diff": 5}, Phone="7"))
    assert [(one.operation, one.text_differences) for one in (silent, strange)] == [("gap", {})] * 2
