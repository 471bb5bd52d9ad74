"""`isthmus mapping check`: mappings beside what both simulated platforms say; a line a finding, and the exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import orjson
import pytest
import yaml

from isthmus.config.mapping import ENTITIES
from isthmus.node import cli
from isthmus.simulators.dynamics import DynamicsEnvironment, serve_dynamics
from isthmus.simulators.salesforce import Field, SalesforceOrg, serve_salesforce

INDUSTRY = {
    "type": "option",
    "rule": "last_writer",
    "values": {
        "farming": {"salesforce": "Agriculture", "dynamics": 2},
        "banking": {"salesforce": "Banking", "dynamics": 1},
        "fishing": {"salesforce": "Fishing", "dynamics": 9},
    },
}


@pytest.fixture
def org() -> SalesforceOrg:
    return SalesforceOrg(seed=5)


@pytest.fixture
def environment() -> DynamicsEnvironment:
    return DynamicsEnvironment(seed=5)


@pytest.fixture
def config(org: SalesforceOrg, environment: DynamicsEnvironment, tmp_path: Path) -> Iterator[Path]:
    """A settings file for both; they are served from a loop of their own, for the command runs one itself."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(10)

    with ExitStack() as ended:
        ended.callback(thread.join)
        ended.callback(loop.call_soon_threadsafe, loop.stop)
        here, there = serve_salesforce(org), serve_dynamics(environment)
        url, served = run(here.__aenter__()), run(there.__aenter__())
        ended.callback(lambda: run(here.__aexit__(None, None, None)))
        ended.callback(lambda: run(there.__aexit__(None, None, None)))
        settings = {
            "salesforce": {"login_url": url, "client_id": org.client_id, "client_secret": org.client_secret},
            "dynamics": {
                "url": served.http_url,
                "authority": served.http_url,
                "tenant": environment.tenant,
                "client_id": environment.client_id,
                "client_secret": environment.client_secret,
            },
            "entities_dir": str(tmp_path / "entities"),
        }
        (tmp_path / "isthmus.yaml").write_text(yaml.safe_dump(settings))
        yield tmp_path / "isthmus.yaml"


def mapped(config: Path, **changed: Any) -> None:
    """The account that comes with us, with further fields; each is (field, Salesforce's column, Dynamics' column)."""
    account = yaml.safe_load((ENTITIES / "account.yaml").read_text())
    for name, (spec, salesforce, dynamics) in changed.items():
        account["fields"][name] = spec
        account["systems"]["salesforce"]["fields"][name] = salesforce
        account["systems"]["dynamics"]["fields"][name] = dynamics
    (config.parent / "entities").mkdir(exist_ok=True)
    (config.parent / "entities" / "account.yaml").write_text(yaml.safe_dump(account))


def asked(config: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, list[str]]]:
    """The exit code, and the answers by state."""
    code = cli.run(["mapping", "check", "--json", "--config", str(config)])
    found: dict[str, list[str]] = {}
    for one in orjson.loads(capsys.readouterr().out):
        found.setdefault(one["state"], []).append(f"{one['name']}: {one['message']} ({one['hint']})")
    return code, found


def test_the_mappings_that_come_with_us_fit(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entities = str(ENTITIES)
    text = config.read_text().replace(str(config.parent / "entities"), entities)
    config.write_text(text)
    code, found = asked(config, capsys)
    assert code == 0
    assert "fail" not in found
    assert len(found["ok"]) == 4
    assert any("dynamics account.name (account.name): holds 160 characters" in one for one in found["warn"])


def test_a_formula_a_missing_field_and_a_wrong_type_are_told(
    config: Path, org: SalesforceOrg, capsys: pytest.CaptureFixture[str]
) -> None:
    account = org.objects["Account"]
    formula = Field("Rank__c", "double", formula=True)
    org.objects["Account"] = replace(account, fields={**account.fields, "Rank__c": formula})
    last = {"rule": "last_writer"}
    number = {"type": "number", **last}
    mapped(config, rank=(number, "Rank__c", "exchangerate"), fax=(last, "fax", "fax"), when=(last, "Fax", "createdon"))
    code, found = asked(config, capsys)
    assert code == 1
    told = "\n".join(found["fail"])
    assert "salesforce Account.Rank__c (account.rank): is made by a formula and cannot be written" in told
    assert "dynamics account.exchangerate (account.rank): may not be written" in told
    assert "salesforce Account.fax (account.fax): is missing, or may not be seen (is Fax meant?" in told
    assert "dynamics account.createdon (account.when): is datetime, and the field is string" in told


def test_picklists_that_have_drifted_are_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    column = {"column": "Industry", "transform": "picklist"}
    mapped(config, industry=(INDUSTRY, column, {"column": "industrycode", "transform": "picklist"}))
    code, found = asked(config, capsys)
    assert code == 1
    told = "\n".join(found["fail"])
    assert "salesforce Account.Industry (account.industry): has the option 'Energy', which would be refused" in told
    assert "dynamics account.industrycode (account.industry): has no option '9', which fishing is mapped to" in told
    assert "has the option '3' (Broadcasting), which would be refused" in told
    # Salesforce takes other values than those of an open picklist.
    assert any("has no option 'Fishing'" in one for one in found["warn"])


def test_a_platform_that_does_not_let_us_in_does_not_hide_the_other(
    config: Path, org: SalesforceOrg, capsys: pytest.CaptureFixture[str]
) -> None:
    mapped(config)
    org.client_secret = "another"
    code, found = asked(config, capsys)
    assert code == 1
    assert [one.partition(":")[0] for one in found["fail"]] == ["salesforce"]
    assert any(one.startswith("dynamics account (account): all") for one in found["ok"])


def test_a_platform_that_is_not_configured_is_said(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = yaml.safe_load(config.read_text())
    del settings["dynamics"]
    config.write_text(yaml.safe_dump(settings))
    mapped(config)
    code, found = asked(config, capsys)
    assert code == 0
    assert any(one.startswith("dynamics: is not configured") for one in found["warn"])


def test_lines_name_the_finding_and_what_to_do(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mapped(config, fax=({"rule": "last_writer"}, "Fax", "facsimile"))
    assert cli.run(["mapping", "check", "--config", str(config)]) == 1
    (line,) = [one for one in capsys.readouterr().out.splitlines() if one.startswith("fail")]
    assert line.startswith("fail dynamics account.facsimile (account.fax): is missing, or may not be seen (")
