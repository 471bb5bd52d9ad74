"""`isthmus provision`: says what is missing, makes it when told to, and says so by its exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from isthmus.node import cli
from isthmus.simulators.salesforce import STANDARD_OBJECTS, SalesforceOrg, serve_salesforce

SETTINGS = """
salesforce:
  login_url: {url}
  client_id: {client_id}
  client_secret: {secret}
"""


@pytest.fixture
def org() -> SalesforceOrg:
    """An org that nobody has prepared."""
    bare = [
        replace(one, tracked=False, fields={n: f for n, f in one.fields.items() if n != "Isthmus_Id__c"})
        for one in STANDARD_OBJECTS
    ]
    return SalesforceOrg(seed=14, objects=bare)


@pytest.fixture
def config(org: SalesforceOrg, tmp_path: Path) -> Iterator[str]:
    """A settings file for it; the org is served from a loop of its own, for the command runs one itself."""
    from threading import Thread

    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    serving = serve_salesforce(org)
    with ExitStack() as ended:
        ended.callback(thread.join)
        ended.callback(loop.call_soon_threadsafe, loop.stop)
        url = asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(10)
        ended.callback(lambda: asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result(10))
        file = tmp_path / "isthmus.yaml"
        file.write_text(SETTINGS.format(url=url, client_id=org.client_id, secret=org.client_secret))
        yield str(file)


def test_it_says_what_is_missing_makes_it_and_finds_it_there(
    config: str, org: SalesforceOrg, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["provision", "--config", config]) == 1
    told = capsys.readouterr().out
    assert "fail salesforce Account.Isthmus_Id__c: is missing" in told
    assert org.client_secret not in told
    assert not org.rows("CustomField")

    assert cli.run(["provision", "--config", config, "--apply"]) == 0
    made = org.rows("CustomField")
    assert len(made) == 3
    capsys.readouterr()

    assert cli.run(["provision", "--config", config, "--json"]) == 0
    answers = orjson.loads(capsys.readouterr().out)
    assert {answer["state"] for answer in answers} == {"ok"}
    assert "salesforce change events of Account" in [answer["name"] for answer in answers]
    assert org.rows("CustomField") == made


def test_a_platform_that_is_not_there_is_told(
    config: str, org: SalesforceOrg, capsys: pytest.CaptureFixture[str]
) -> None:
    org.client_secret = "another"
    assert cli.run(["provision", "--config", config, "--apply"]) == 1
    assert "fail salesforce: Salesforce refuses the login" in capsys.readouterr().out
