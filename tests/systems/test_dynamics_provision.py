"""What an environment needs for us is found, made once, and then works."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from isthmus.config.mapping import ENTITIES, EntityMapping, SystemMapping, load_mappings
from isthmus.simulators.dynamics import STANDARD_TABLES, DynamicsEnvironment, Served, Table, serve_dynamics
from isthmus.systems.dynamics.adapter import Dynamics, DynamicsConfig
from isthmus.systems.dynamics.session import Webhook
from isthmus.systems.protocol import Finding, Write, Written

OBJECTS = load_mappings().objects("dynamics")
HOOK = Webhook("https://node.example/webhooks/dynamics", "key", "code", "s3cret")


def untouched(table: Table) -> Table:
    """A table as it is before anybody heard of us."""
    return replace(table, columns={n: c for n, c in table.columns.items() if n != "isthmus_id"}, keys={})


@pytest.fixture
def environment() -> DynamicsEnvironment:
    environment = DynamicsEnvironment(seed=7, tables=[untouched(one) for one in STANDARD_TABLES])
    environment.tracked.clear()
    return environment


@pytest.fixture
async def served(environment: DynamicsEnvironment) -> AsyncIterator[Served]:
    async with serve_dynamics(environment) as served:
        yield served


async def provision(
    environment: DynamicsEnvironment, served: Served, *, apply: bool, webhook: Webhook | None = HOOK
) -> list[Finding]:
    system = adapter(environment, served, webhook)
    try:
        return await system.provision(apply)
    finally:
        await system.close()


def adapter(
    environment: DynamicsEnvironment,
    served: Served,
    webhook: Webhook | None = HOOK,
    objects: Mapping[str, SystemMapping] = OBJECTS,
) -> Dynamics:
    here = served.http_url
    login = (here, here, environment.tenant, environment.client_id, environment.client_secret)
    return Dynamics(DynamicsConfig(*login, webhook=webhook), objects)


def bad(findings: list[Finding]) -> list[str]:
    return [finding.name for finding in findings if not finding.ok]


def steps(environment: DynamicsEnvironment) -> dict[str, Any]:
    return {row["name"]: row for row in environment.rows("sdkmessageprocessingstep").values()}


async def test_it_says_what_is_missing_and_makes_nothing(environment: DynamicsEnvironment, served: Served) -> None:
    before = environment.store.version
    findings = await provision(environment, served, apply=False)
    assert environment.store.version == before
    assert environment.tracked == set()
    assert set(bad(findings)) >= {
        "account column isthmus_id",
        "contact alternate key",
        "account change tracking",
        "webhook",
        "step Update of contact",
        "role",
    }
    assert all(finding.hint for finding in findings if not finding.ok)


async def test_it_makes_what_is_missing_and_then_the_adapter_works(
    environment: DynamicsEnvironment, served: Served
) -> None:
    made = await provision(environment, served, apply=True)
    assert bad(made) == []
    again = await provision(environment, served, apply=False)
    assert bad(again) == ["account alternate key", "contact alternate key"], "their indexes are not built yet"
    environment.keys_built()
    assert bad(await provision(environment, served, apply=False)) == []
    system = adapter(environment, served)
    try:
        assert bad(await system.check()) == []
        (written,) = await system.write([Write("account", "can-1", None, {"name": "Alder"})])
        assert isinstance(written, Written)
        assert environment.row("account", written.record_id)["isthmus_id"] == "can-1"
    finally:
        await system.close()


async def test_applied_twice_nothing_is_made_twice_but_the_key_may_be_another(
    environment: DynamicsEnvironment, served: Served
) -> None:
    await provision(environment, served, apply=True)
    before = {name: len(environment.store.all(name)) for name in environment.store.tables}
    await provision(environment, served, apply=True, webhook=replace(HOOK, key="rotated"))
    assert {name: len(environment.store.all(name)) for name in environment.store.tables} == before
    (endpoint,) = environment.store.all("serviceendpoint")
    assert endpoint.get("authvalue") == "rotated"


async def test_the_steps_are_asynchronous_and_listen_to_what_is_mapped(
    environment: DynamicsEnvironment, served: Served
) -> None:
    await provision(environment, served, apply=True)
    held = steps(environment)
    assert len(held) == 8
    assert {(one["mode"], one["stage"]) for one in held.values()} == {(1, 40)}
    assert held["Isthmus: Create of account"]["filteringattributes"] is None
    assert set(held["Isthmus: Update of account"]["filteringattributes"].split(",")) == set(OBJECTS["account"].columns)
    (endpoint,) = environment.store.all("serviceendpoint")
    assert (endpoint.get("url"), endpoint.get("authtype"), endpoint.get("authvalue")) == (HOOK.url, 4, HOOK.key)


async def test_what_has_changed_is_brought_up_to_date(environment: DynamicsEnvironment, served: Served) -> None:
    await provision(environment, served, apply=True)
    step = steps(environment)["Isthmus: Update of account"]["sdkmessageprocessingstepid"]
    environment.update("sdkmessageprocessingstep", step, {"filteringattributes": "name"})
    moved = replace(HOOK, url="https://new.example/webhooks/dynamics", kind="header", name="X-Isthmus", key='k&"')
    findings = await provision(environment, served, apply=False, webhook=moved)
    assert {"webhook", "step Update of account"} <= set(bad(findings))
    await provision(environment, served, apply=True, webhook=moved)
    (endpoint,) = environment.store.all("serviceendpoint")
    assert (endpoint.get("url"), endpoint.get("authtype")) == (moved.url, 5)
    assert endpoint.get("authvalue") == """<settings><setting name="X-Isthmus" value='k&amp;"'/></settings>"""
    assert steps(environment)["Isthmus: Update of account"]["filteringattributes"] != "name"


async def test_the_role_has_what_is_needed_and_no_more(environment: DynamicsEnvironment, served: Served) -> None:
    await provision(environment, served, apply=True)
    names = {row["privilegeid"]: row["name"] for row in environment.rows("privilege").values()}
    given = {(names[row["privilegeid"]], row["depth"]) for row in environment.rows("roleprivileges").values()}
    verbs = ("Create", "Read", "Write", "Append", "AppendTo")
    assert given == {(f"prv{verb}{table}", "Global") for verb in verbs for table in ("Account", "Contact")}
    (assigned,) = environment.rows("systemuserroles").values()
    assert assigned["userid"] == environment.application_user


async def test_without_a_webhook_only_that_is_left_out(environment: DynamicsEnvironment, served: Served) -> None:
    findings = await provision(environment, served, apply=True, webhook=None)
    assert bad(findings) == []
    assert steps(environment) == {}


async def test_what_the_platform_refuses_stops_nothing_else(environment: DynamicsEnvironment, served: Served) -> None:
    environment.fail_next(1, 403, "0x80040220")
    findings = await provision(environment, served, apply=True)
    (refused,) = [finding for finding in findings if not finding.ok]
    assert "0x80040220" in refused.message
    assert refused.hint
    assert any(finding.name == "role" and finding.ok for finding in findings)


async def test_change_tracking_that_is_off_fails_the_check(environment: DynamicsEnvironment, served: Served) -> None:
    system = adapter(environment, served)
    try:
        assert "account change tracking" in bad(await system.check())
    finally:
        await system.close()


async def test_we_may_delete_rows_only_where_that_is_the_policy(
    environment: DynamicsEnvironment, served: Served
) -> None:
    contact = OBJECTS["contact"].model_copy(update={"on_delete": "delete"})
    here = served.http_url
    login = (here, here, environment.tenant, environment.client_id, environment.client_secret)
    system = Dynamics(DynamicsConfig(*login), {**OBJECTS, "contact": contact})
    try:
        await system.provision(True)
    finally:
        await system.close()
    names = {row["privilegeid"]: row["name"] for row in environment.rows("privilege").values()}
    given = {names[row["privilegeid"]] for row in environment.rows("roleprivileges").values()}
    assert {name for name in given if "Delete" in name} == {"prvDeleteContact"}


# -- check


async def checked(environment: DynamicsEnvironment, served: Served) -> dict[str, Finding]:
    system = adapter(environment, served)
    try:
        return {finding.name: finding for finding in await system.check()}
    finally:
        await system.close()


async def test_the_check_finds_steps_that_are_gone_or_off_and_privileges_that_were_taken(
    environment: DynamicsEnvironment, served: Served
) -> None:
    await provision(environment, served, apply=True)
    environment.keys_built()
    off, gone = (steps(environment)[f"Isthmus: {name} of account"] for name in ("Create", "Delete"))
    environment.update("sdkmessageprocessingstep", off["sdkmessageprocessingstepid"], {"statecode": 1})
    environment.delete("sdkmessageprocessingstep", gone["sdkmessageprocessingstepid"])
    environment.delete("roleprivileges", next(iter(environment.rows("roleprivileges"))))
    found = await checked(environment, served)
    assert {name: one.message for name, one in found.items() if not one.ok and name != "role privileges"} == {
        "step Create of account": "is switched off",
        "step Delete of account": "is missing",
    }
    assert "are missing" in found["role privileges"].message
    await provision(environment, served, apply=True)
    assert [one for one in (await checked(environment, served)).values() if not one.ok] == []


async def test_what_is_hidden_from_a_user_with_the_least_rights_is_no_fault(
    environment: DynamicsEnvironment, served: Served
) -> None:
    await provision(environment, served, apply=True)
    environment.keys_built()
    seen = len(await checked(environment, served))
    environment.forbidden |= {"serviceendpoint", "role"}
    found = await checked(environment, served)
    assert [one for one in found.values() if not one.ok] == []
    assert [name for name, one in found.items() if "hidden" in one.message] == ["webhook", "role"]
    assert len(found) < seen


async def test_a_role_of_another_name_may_give_the_rights(environment: DynamicsEnvironment, served: Served) -> None:
    found = await checked(environment, served)
    assert found["role"].ok
    assert "another one has to give the rights" in found["role"].message


async def test_a_table_that_is_only_written_gets_a_key_and_rights_and_is_not_listened_to(
    environment: DynamicsEnvironment, served: Served
) -> None:
    told = yaml.safe_load((ENTITIES / "optional" / "dynamics" / "task.yaml").read_text())
    task = EntityMapping.model_validate(told).systems["dynamics"]
    system = adapter(environment, served, objects={**OBJECTS, "task": task})
    assert bad(await system.provision(apply=True)) == []
    assert environment.tracked == {"account", "contact"}
    assert [name for name in steps(environment) if "task" in name] == []
    findings = await system.provision(apply=False)
    assert [one.name for one in findings if one.name.startswith("task")] == [
        "task column isthmus_id",
        "task alternate key",
    ]
    names = {native: row["name"] for native, row in environment.rows("privilege").items()}
    given = {names[row["privilegeid"]] for row in environment.rows("roleprivileges").values()}
    assert {"prvCreateActivity", "prvReadActivity", "prvWriteActivity"} <= given
    await system.close()
