"""The command line: exit codes, one-line errors, and what `check` finds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import orjson
import pytest

from isthmus.config.errors import AuthError, IsthmusError, PlatformError
from isthmus.config.settings import Kafka, NodeSettings, Settings
from isthmus.node import cli
from isthmus.node.check import Answer, ask, check, report
from isthmus.systems.protocol import Delivery, Finding, Row, Write, Written

NOBODY = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def isthmus(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The real command, in a process of its own."""
    command = [sys.executable, "-m", "isthmus.node.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_version_is_told() -> None:
    done = isthmus("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("isthmus 0.")


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(verb in told for verb in ("worker", "demo", "decode", "check", "table"))


@pytest.mark.parametrize(
    "arguments", [["wrker"], ["decode", "nonsense"], ["demo", "--size", "many"], ["table", "get"], ["check", "--jsn"]]
)
def test_a_wrong_command_line_is_two_lines_and_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    error, hint = err.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")


def test_a_wrong_setting_is_told_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "isthmus.yaml").write_text("node: {partitons: 3}\n")
    done = isthmus("worker")
    assert done.returncode == 2
    assert done.stderr == "error: node.partitons: there is no such setting (did you mean node.partitions?)\n"


def test_a_fault_we_know_is_told_and_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> int:
        raise IsthmusError("the lamp is out", hint="light it")

    monkeypatch.setattr(cli, "app", fails)
    assert cli.run(["demo"]) == 1
    assert capsys.readouterr().err == "error: the lamp is out\nhint: light it\n"


def test_a_command_imports_only_what_it_needs() -> None:
    code = (
        "import sys; from isthmus.node import cli; cli.run(['--version']); "
        "print(sorted({'faust', 'aiokafka', 'pydantic', 'jgo'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_check_tells_a_wrong_setting_as_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = isthmus("check", "--json", "--config", str(tmp_path / "nowhere.yaml"))
    assert done.returncode == 2
    (finding,) = orjson.loads(done.stdout)
    assert (finding["state"], finding["name"]) == ("fail", "configuration")


def test_check_tells_that_kafka_is_not_there_and_asks_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAFKA_URL", NOBODY)
    done = isthmus("check")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("ok   configuration: ")
    assert lines[1].startswith(f"fail kafka: {NOBODY} does not answer")
    assert [line.split(":")[0] for line in lines[2:]] == ["warn dynamics", "warn salesforce"]


async def test_check_finds_a_kafka_fit_for_work_and_leaves_it_as_it_was(kafka: str, namespace: str) -> None:
    settings = Settings(kafka=Kafka(url=kafka), node=NodeSettings(namespace=namespace))
    answers = {answer.name: answer for answer in await check(settings)}
    assert [answers[name].state for name in ("kafka", "kafka topics", "kafka partitions")] == ["ok"] * 3
    assert "no topics yet" in answers["kafka partitions"].message


async def test_check_finds_that_kafka_has_too_few_brokers(kafka: str) -> None:
    settings = Settings(kafka=Kafka(url=kafka, replication_factor=99))
    answers = {answer.name: answer for answer in await check(settings)}
    assert answers["kafka topics"].state == "fail"
    assert "replication_factor" in answers["kafka topics"].hint


async def test_check_finds_topics_with_other_partitions(kafka: str, namespace: str) -> None:
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(f"{namespace}dead", 2, 1)])
    await admin.close()
    settings = Settings(kafka=Kafka(url=kafka), node=NodeSettings(namespace=namespace))
    answers = {answer.name: answer for answer in await check(settings)}
    assert answers["kafka partitions"] == Answer(
        "fail",
        "kafka partitions",
        "this node's topics have 2 partitions, 4 are set",
        "set node.partitions to what the topics have",
    )


class Lamp:
    """A system that does what a test wants of it."""

    name = "lamp"

    def __init__(self, findings: Sequence[Finding], refuses: Exception | None = None) -> None:
        self.findings, self.refuses, self.closed = findings, refuses, False

    async def open(self) -> None:
        if self.refuses is not None:
            raise self.refuses

    async def close(self) -> None:
        self.closed = True

    async def check(self) -> list[Finding]:
        return list(self.findings)

    async def changes(self, position: str | None) -> AsyncIterator[Delivery]:
        return
        yield

    async def read(self, object: str, record_ids: Sequence[str]) -> list[Row]:
        return []

    async def scan(self, object: str, since: str | None = None) -> AsyncIterator[Row]:
        return
        yield

    async def write(self, writes: Sequence[Write]) -> list[Written | PlatformError]:
        raise NotImplementedError

    async def provision(self, apply: bool) -> list[Finding]:
        return list(self.findings)


async def test_a_systems_findings_are_told_under_its_name() -> None:
    lamp = Lamp([Finding("oil", True, "full"), Finding("wick", False, "short", "trim it")])
    assert await ask(lamp) == [
        Answer("ok", "lamp oil", "full"),
        Answer("fail", "lamp wick", "short", "trim it"),
    ]
    assert lamp.closed


async def test_a_system_that_refuses_us_is_a_finding_too() -> None:
    lamp = Lamp([], AuthError("not let in", hint="knock"))
    assert await ask(lamp) == [Answer("fail", "lamp", "not let in", "knock")]
    assert lamp.closed


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([Answer("ok", "kafka", ""), Answer("warn", "dynamics", "")], 0),
        ([Answer("ok", "configuration", ""), Answer("fail", "kafka", "")], 1),
        ([Answer("fail", "configuration", ""), Answer("fail", "kafka", "")], 2),
    ],
)
def test_the_exit_code_stands_for_the_worst_finding(answers: list[Answer], code: int) -> None:
    assert report(answers) == code
