"""Pub/Sub payloads: what bitmaps say, times, and faults that say where. The forms of events are in golden/pubsub/."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastavro import schemaless_writer
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codecs.change import Change
from isthmus.codecs.frames import Elements, encode
from isthmus.codecs.pubsub import pubsub_api_pb2
from isthmus.codecs.salesforce_pubsub import EventSchema, decode, read_schema
from isthmus.config.errors import DecodeError

GOLDEN = Path(__file__).parent / "golden" / "pubsub"
CASES = sorted(file for file in GOLDEN.glob("*.json") if file.stem != "schema")
SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "salesforce"
PROTO = Path(pubsub_api_pb2.__file__).with_name("pubsub_api.proto")
SCHEMA = read_schema((GOLDEN / "schema.json").read_bytes())


def written(record: dict[str, Any], schema: EventSchema = SCHEMA) -> bytes:
    """A record as a payload."""
    stream = io.BytesIO()
    schemaless_writer(stream, schema.avro, record)
    return stream.getvalue()


def case(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return found


def event(**header: Any) -> bytes:
    """An update with something else in its header."""
    record = case("update_top_and_part")["record"]
    return written({**record, "ChangeEventHeader": {**record["ChangeEventHeader"], **header}})


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_a_payload_comes_to_what_is_written_beside_it(file: Path) -> None:
    told = json.loads(file.read_text())
    decoded = [change.to_wire() for change in decode(written(told["record"]), SCHEMA)]
    assert json.loads(json.dumps(decoded)) == told["expected"], told["why"]


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ({"changedFields": ["0x1"]}, r"ChangeEventHeader\.changedFields\[0\]: there is no field 0 that could change"),
        ({"changedFields": ["0x2", "0x" + "1" + "0" * 30]}, r"changedFields\[1\]: there is no field 120 "),
        ({"nulledFields": ["3-0x0400"]}, r"nulledFields\[0\]: there is no field 10 "),
        ({"diffFields": ["5-0x01"]}, r"diffFields\[0\]: Phone has no parts"),
        ({"changedFields": ["99-0x01"]}, r"there is no field 99 "),
        ({"changedFields": ["0-0x01"]}, r"there is no field 0 "),
        ({"changedFields": ["3-3-0x01"]}, r"PostalCode has no parts"),
        *(({"changedFields": [text]}, "is no bitmap") for text in ("", "0x", "Phone", "-0x1", "3-", "0x1g", "3_0x1")),
        ({"changeType": "SNAPSHOT"}, r"^ChangeEventHeader\.changeType: unknown change type 'SNAPSHOT'"),
        ({"recordIds": []}, r"^ChangeEventHeader\.recordIds: names no record"),
        ({"transactionKey": ""}, r"^ChangeEventHeader\.transactionKey: is missing"),
    ],
)
def test_a_fault_says_where_it_is(header: dict[str, Any], told: str) -> None:
    with pytest.raises(DecodeError, match=told):
        decode(event(**header), SCHEMA)


def test_what_is_not_of_the_schema_to_the_last_byte_is_refused() -> None:
    payload = event()
    with pytest.raises(DecodeError, match="1 bytes are left over"):
        decode(payload + b"\x00", SCHEMA)
    for end in range(len(payload)):
        with pytest.raises(DecodeError):
            decode(payload[:end], SCHEMA)


def test_a_time_beyond_the_calendar_is_refused_with_its_field() -> None:
    record = case("undelete")["record"]
    with pytest.raises(DecodeError, match=r"^Founded__c: 9000000000000000 ms is beyond the calendar"):
        decode(written({**record, "Founded__c": 9 * 10**15}), SCHEMA)


def test_a_number_that_is_none_is_refused_with_its_field() -> None:
    record = case("undelete")["record"]
    with pytest.raises(DecodeError, match=r"^AnnualRevenue: "):
        decode(written({**record, "AnnualRevenue": float("nan")}), SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b'"string"',
        b'{"type": "record", "name": "X", "fields": []}',
        b'{"type": "record", "name": "X", "fields": [{"name": "Name", "type": "string"}]}',
        b'{"type": "record", "name": "X", "fields": [{"name": "ChangeEventHeader", "type": "Nonsense"}]}',
        b"\xff",
    ],
)
def test_what_is_no_schema_of_a_change_event_is_refused(text: bytes) -> None:
    with pytest.raises(DecodeError):
        read_schema(text)


def test_a_schema_leaves_nothing_behind_for_the_next() -> None:
    text = (GOLDEN / "schema.json").read_text()
    other = read_schema(text.replace('"Latitude"', '"Northing"'))
    assert "Northing" in other.fields.parts["Spot__c"].names
    assert "Latitude" in read_schema(text).fields.parts["Spot__c"].names


def checked(payload: bytes) -> None:
    """Decoding either refuses, or gives changes that survive the wire."""
    try:
        changes = decode(payload, SCHEMA)
    except DecodeError:
        return
    assert Elements(Change).decode(encode(changes), "here") == changes


@given(st.binary(max_size=400))
def test_anything_is_decoded_or_refused(payload: bytes) -> None:
    checked(payload)


@given(st.sampled_from(CASES), st.data())
def test_a_payload_with_one_byte_out_of_place_is_decoded_or_refused(file: Path, data: st.DataObject) -> None:
    payload = bytearray(written(json.loads(file.read_text())["record"]))
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    checked(bytes(payload))


@given(st.sets(st.integers(1, len(SCHEMA.fields.names) - 1)), st.sets(st.integers(0, 9)))
def test_what_was_nulled_is_cleared_and_nothing_else(fields: set[int], parts: set[int]) -> None:
    bitmaps = [hex(sum(1 << bit for bit in fields)), f"3-{sum(1 << bit for bit in parts):#x}"]
    record = {"ChangeEventHeader": case("gap_of_two")["record"]["ChangeEventHeader"]}
    header = {**record["ChangeEventHeader"], "changeType": "UPDATE", "changedFields": bitmaps, "nulledFields": bitmaps}
    [change, _] = decode(written({"ChangeEventHeader": header}), SCHEMA)
    assert (change.operation, change.fields) == ("update", {})
    names = {name.partition(".")[0] for name in change.cleared}
    assert names == {SCHEMA.fields.names[bit] for bit in fields | ({3} if parts else set())}
    address = SCHEMA.fields.parts["BillingAddress"].names
    told = {f"BillingAddress.{address[bit]}" for bit in (range(10) if 3 in fields else parts)}
    assert {name for name in change.cleared if name.startswith("BillingAddress.")} == told


def test_the_generated_messages_are_those_of_the_published_proto(tmp_path: Path) -> None:
    made = tmp_path / "set.bin"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO.parent}", f"--descriptor_set_out={made}"]
    subprocess.run([*command, PROTO.name], check=True, timeout=60)
    (file,) = FileDescriptorSet.FromString(made.read_bytes()).file
    generated = FileDescriptorProto.FromString(pubsub_api_pb2.DESCRIPTOR.serialized_pb)
    for field in (field for message in file.message_type for field in message.field):
        field.ClearField("json_name")
    assert file == generated


@pytest.mark.parametrize("name", ["creations", "updates"])
def test_recorded_payloads_come_to_what_their_finder_decoded(name: str) -> None:
    schemas = {"4egfTTaxua4Y39nYlBXfNg": "acct_4eg", "i8wgJwwM-AVcDbFkbRl5Nw": "acct_i8wg"}
    file = SAMPLES / f"pubsub-raw-account-{name}.json"
    if not file.exists():
        pytest.skip("the recorded samples are not here")
    for recorded, found in zip(
        recorded_events(file), json.loads(file.with_suffix(".decoded.json").read_text()), strict=True
    ):
        schema = read_schema((SAMPLES / f"schema-{schemas[recorded['schemaId']]}.avsc.json").read_bytes())
        changes = decode(base64.b64decode(recorded["payload"]), schema)
        header = found["decoded_nonnull"].pop("ChangeEventHeader")
        assert [change.record_id for change in changes] == header["recordIds"]
        told = {key.partition(".")[0] for key in changes[0].fields}
        assert told == {key for key, value in found["decoded_nonnull"].items() if value is not None}
        assert changes[0].cleared == ()


def recorded_events(file: Path) -> list[dict[str, Any]]:
    """The events of recorded FetchResponses."""
    told = json.loads(file.read_text())
    answers = told if isinstance(told, list) else [told]
    return [one["event"] for answer in answers for one in answer.get("events", [answer])]
