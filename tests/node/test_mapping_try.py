"""`isthmus mapping try`: recorded changes of a real node through an edited mapping; nothing is written."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest
from oracle import committed

from isthmus.codecs.linked import Linked
from isthmus.config.errors import ConfigError
from isthmus.config.mapping import ENTITIES, load_mappings
from isthmus.node import cli
from isthmus.node.mapping_try import _natives, seconds_of
from isthmus.node.theatre import Progress, settle, theatre
from isthmus.tables.fold import fold

TOPICS = ("changes.salesforce", "merge", "golden-changelog", "writes.dynamics", "dead", "events.account")


@pytest.mark.parametrize(("since", "seconds"), [("90s", 90), ("30m", 1800), ("1h", 3600), ("2d", 172800)])
def test_a_time_is_a_number_and_a_unit(since: str, seconds: int) -> None:
    assert seconds_of(since) == seconds


@pytest.mark.parametrize("since", ["", "1", "h", "1 h", "-1h", "1w"])
def test_anything_else_is_no_time(since: str) -> None:
    with pytest.raises(ConfigError, match="is no time"):
        seconds_of(since)


def test_a_record_that_has_said_nothing_that_is_mapped_yet_is_tried_too() -> None:
    change = Linked("salesforce", "1", "account", "c", "create", {}, (), "1", "2026-01-01T00:00:01Z", "x", "x")
    golden = fold(None, change, load_mappings().entities["account"]).state
    assert _natives(golden) == [("salesforce", "1")]


def edited(folder: Path) -> Path:
    """The mappings that come with us; phones as numbers, and Dynamics decides about names."""
    folder.mkdir()
    text = (ENTITIES / "account.yaml").read_text()
    text = text.replace("phone: Phone", "phone: {column: Phone, transform: {kind: phone, region: DE}}")
    text = text.replace("phone: telephone1", "phone: {column: telephone1, transform: {kind: phone, region: DE}}")
    text = text.replace(
        "name: {type: string, rule: {precedence: [salesforce, dynamics]}}", "name: {rule: {owner: dynamics}}"
    )
    (folder / "account.yaml").write_text(text)
    return folder


async def test_what_would_differ_is_shown_and_nothing_is_written(
    kafka: str, namespace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = edited(tmp_path / "edited")
    async with theatre(tmp_path, bootstrap=kafka, namespace=namespace, seed=41) as stage:
        stage.org.create("Account", {"Name": "Alder", "Phone": "030 12345678", "AccountNumber": "A-1"})
        stage.org.create("Account", {"Name": "Birch", "Phone": "+493022222222"})
        stage.org.create("Account", {"Name": "Cedar", "Phone": "ask Ann"})
        await settle(stage, Progress(), 60)
        config = tmp_path / "isthmus.yaml"
        partitions = stage.worker.settings.get("ISTHMUS_NODE__PARTITIONS", "4")
        node = {"namespace": namespace, "partitions": int(partitions)}
        config.write_text(orjson.dumps({"kafka": {"url": kafka}, "node": node}).decode())
        before = [len(await committed(kafka, f"{namespace}{topic}")) for topic in TOPICS]

        command = ["mapping", "try", str(folder), "--since", "1h", "--config", str(config)]
        assert await asyncio.to_thread(cli.run, [*command, "--json"]) == 0
        found = orjson.loads(capsys.readouterr().out)
        assert await asyncio.to_thread(cli.run, command) == 0
        lines = capsys.readouterr().out.splitlines()

        assert before == [len(await committed(kafka, f"{namespace}{topic}")) for topic in TOPICS]
    assert found["records"] == 3
    assert found["changes"] >= 6
    assert found["unknown"] == 0
    assert [(one["field"], one["before"], one["after"]) for one in found["differences"]] == [
        ("phone", "030 12345678", "+493012345678")
    ]
    assert [(one["field"], one["value"]) for one in found["refused"] if one["system"] == "salesforce"] == [
        ("phone", "ask Ann")
    ]
    assert "account.phone: 1 golden values would differ" in lines
    assert any("'030 12345678' -> '+493012345678' (last_writer)" in line for line in lines)


async def test_a_time_in_which_nothing_happened_shows_nothing(
    kafka: str, namespace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "isthmus.yaml"
    config.write_text(orjson.dumps({"kafka": {"url": kafka}, "node": {"namespace": namespace}}).decode())
    command = ["mapping", "try", str(edited(tmp_path / "edited")), "--config", str(config)]
    assert await asyncio.to_thread(cli.run, command) == 0
    assert capsys.readouterr().out.splitlines() == [
        "0 changes of 0 golden records; 0 belong to no golden record",
        "no golden value would differ",
    ]
