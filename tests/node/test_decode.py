"""`isthmus decode`: what it takes, what it prints, and how it complains."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastavro import schemaless_writer

from isthmus.codecs.change import Change
from isthmus.codecs.salesforce_pubsub import read_schema
from isthmus.node.decode import decode_command

GOLDEN = Path(__file__).parents[1] / "codecs" / "golden"
SCHEMA = read_schema((GOLDEN / "pubsub" / "schema.json").read_bytes())


def event(record_id: str = "0015f00002J9YaUAAV", name: str = "Zoë") -> dict[str, Any]:
    header = {
        "entityName": "Account",
        "recordIds": [record_id],
        "changeType": "CREATE",
        "transactionKey": "t",
        "sequenceNumber": 1,
    }
    return {"payload": {"ChangeEventHeader": header, "Name": name}}


def names(out: str) -> list[str]:
    return [json.loads(line)["fields"]["Name"] for line in out.splitlines()]


def isthmus(*arguments: str, given: bytes) -> subprocess.CompletedProcess[bytes]:
    """The real command, in a process of its own whose locale knows no letters but ASCII's."""
    command = [sys.executable, "-m", "isthmus.node.cli", *arguments]
    locale = {**os.environ, "PYTHONIOENCODING": "ascii"}
    return subprocess.run(command, input=given, capture_output=True, timeout=60, check=False, env=locale)


def test_a_line_is_a_change_with_its_keys_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "event.json"
    file.write_text(json.dumps(event(), indent=2))
    assert decode_command("salesforce-cometd", str(file)) == 0
    out, err = capsys.readouterr()
    assert (out.count("\n"), err) == (1, "")
    assert tuple(json.loads(out)) == tuple(name for name in Change.__struct_fields__ if name != "text_differences")
    assert "Zoë" in out


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([event(name="a"), event(name="b")], indent=1),
        json.dumps(event(name="a")) + "\n" + json.dumps(event(name="b")) + "\n",
        json.dumps(event(name="a"), indent=1) + "\n\n" + json.dumps([event(name="b")], indent=1),
        "\ufeff\r\n" + json.dumps(event(name="a")) + "\r\n" + json.dumps([[event(name="b")]]),
    ],
    ids=["an array", "lines", "documents over several lines", "Windows"],
)
def test_one_document_an_array_and_lines_are_taken(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events"
    file.write_text(text, newline="")
    assert decode_command("salesforce-cometd", str(file)) == 0
    assert names(capsys.readouterr().out) == ["a", "b"]


def test_webhooks_are_taken_one_and_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = json.loads((GOLDEN / "dynamics_update_multiple.json").read_text())
    file = tmp_path / "bodies.json"
    file.write_text(json.dumps([case["input"], case["input"]]))
    assert decode_command("dynamics-webhook", str(file)) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == case["expected"] * 2


@pytest.mark.parametrize("text", ["", " \n", "[]", '[{"channel": "/meta/connect", "successful": true}]'])
def test_what_holds_no_changes_prints_nothing(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "none.json"
    file.write_text(text)
    assert decode_command("salesforce-cometd", str(file)) == 0
    assert capsys.readouterr() == ("", "")


BAD = event("001", "bad")
ID = "payload.ChangeEventHeader.recordIds[0]: '001' is no record id"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (json.dumps(BAD), ID),
        (json.dumps([event(), BAD]), f"[1].{ID}"),
        (json.dumps([event(), [BAD]]), f"[1][0].{ID}"),
        (json.dumps(event()) + "\n\n" + json.dumps(BAD), f"line 3: {ID}"),
        (json.dumps(event()) + "\n" + json.dumps([BAD]), f"line 2[0].{ID}"),
        ('{"payload": }', "not JSON: Expecting value: line 1 column 13 (char 12)"),
    ],
)
def test_a_bad_message_is_one_line_that_names_file_and_place(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text)
    assert decode_command("salesforce-cometd", str(file)) == 2
    out, err = capsys.readouterr()
    assert err == f"error: {file}: {told}\n"
    assert "bad" not in out


def test_the_good_messages_before_a_bad_one_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mixed.jsonl"
    file.write_text("\n".join(json.dumps(message) for message in (event(name="a"), BAD, event(name="c"))))
    assert decode_command("salesforce-cometd", str(file)) == 2
    assert names(capsys.readouterr().out) == ["a"]


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "nowhere.json"
    assert decode_command("dynamics-webhook", str(file)) == 2
    assert capsys.readouterr() == ("", f"error: {file}: No such file or directory\n")


def test_the_command_reads_stdin_whatever_the_locale_and_names_it() -> None:
    good = isthmus("decode", "salesforce-cometd", given=json.dumps(event()).encode())
    assert (good.returncode, good.stderr) == (0, b"")
    assert names(good.stdout.decode()) == ["Zoë"]
    bad = isthmus("decode", "dynamics-webhook", given=b"{}")
    assert (bad.returncode, bad.stdout, bad.stderr) == (2, b"", b"error: stdin: MessageName: is missing\n")


PUBSUB = GOLDEN / "pubsub"


def payload(name: str) -> str:
    """A golden case's event as a line."""
    stream = io.BytesIO()
    schemaless_writer(stream, SCHEMA.avro, json.loads((PUBSUB / f"{name}.json").read_text())["record"])
    return base64.b64encode(stream.getvalue()).decode()


def test_payloads_come_to_the_lines_of_their_schema() -> None:
    given = "\n".join((payload("create_compound"), "", f"  {payload('gap_of_two')}\r", ""))
    done = isthmus("decode", "salesforce-pubsub", "--schema", str(PUBSUB / "schema.json"), given=given.encode())
    assert (done.returncode, done.stderr) == (0, b"")
    told = [json.loads((PUBSUB / f"{name}.json").read_text())["expected"] for name in ("create_compound", "gap_of_two")]
    assert [json.loads(line) for line in done.stdout.splitlines()] == [*told[0], *told[1]]


def test_a_bad_payload_is_named_by_its_line_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = payload("undelete")
    file = tmp_path / "payloads"
    file.write_text("\n".join((good, "?", good[:-8], good, good + "AAAA", good)))
    assert decode_command("salesforce-pubsub", str(file), PUBSUB / "schema.json") == 2
    out, err = capsys.readouterr()
    assert names(out) == ["Acme"] * 3
    told = err.splitlines()
    assert [line.partition(": not")[0] for line in told] == [f"error: {file}: line {number}" for number in (2, 3, 5)]
    assert told[0].endswith("not base64: Only base64 data is allowed")


def test_a_schema_is_asked_for_where_it_is_needed_and_refused_where_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "schema.json"
    assert decode_command("salesforce-pubsub") == 2
    assert decode_command("salesforce-cometd", "-", PUBSUB / "schema.json") == 2
    assert decode_command("salesforce-pubsub", "-", file) == 2
    file.write_text("{}")
    assert decode_command("salesforce-pubsub", str(file), file) == 2
    told = capsys.readouterr().err.splitlines()
    assert "salesforce-pubsub needs --schema" in told[0]
    assert "salesforce-cometd takes no --schema" in told[1]
    assert told[2] == f"error: {file}: No such file or directory"
    assert told[3].startswith(f"error: {file}: not an Avro schema")


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_text((json.dumps(event()) + "\n") * 5000)
    command = [sys.executable, "-m", "isthmus.node.cli", "decode", "salesforce-cometd", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert names(running.stdout.readline().decode()) == ["Zoë"]
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(timeout=60) == 0
