"""The Dynamics adapter against the simulated environment: what only Dynamics has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from one import write_one

from isthmus.config.errors import AuthError, ConflictError, PermanentError, TransientError
from isthmus.config.mapping import SystemMapping, load_mappings
from isthmus.simulators.dynamics import DynamicsEnvironment, Served, serve_dynamics
from isthmus.systems.dynamics.adapter import Dynamics, DynamicsConfig
from isthmus.systems.dynamics.records import fitting, query
from isthmus.systems.entra import token
from isthmus.systems.protocol import Write

OBJECTS = load_mappings().objects("dynamics")
NOBODY = "11111111-2222-4333-8444-555555555555"


def config(environment: DynamicsEnvironment, served: Served) -> DynamicsConfig:
    return DynamicsConfig(
        url=served.http_url,
        authority=served.http_url,
        tenant=environment.tenant,
        client_id=environment.client_id,
        client_secret=environment.client_secret,
    )


@asynccontextmanager
async def joined(environment: DynamicsEnvironment, **changed: Any) -> AsyncIterator[Dynamics]:
    async with serve_dynamics(environment) as served:
        system = Dynamics(replace(config(environment, served), **changed), OBJECTS)
        try:
            yield system
        finally:
            await system.close()


@pytest.fixture
def environment() -> DynamicsEnvironment:
    return DynamicsEnvironment(seed=7)


@pytest.fixture
async def dynamics(environment: DynamicsEnvironment) -> AsyncIterator[Dynamics]:
    async with joined(environment) as system:
        await system.open()
        yield system


def account(fields: dict[str, Any], record_id: str | None, version: str | None = None, key: str = "can-1") -> Write:
    return Write("account", key, record_id, fields, version)


async def test_a_feed_that_is_switched_off_ends_at_once(environment: DynamicsEnvironment) -> None:
    async with joined(environment, feed_seconds=None) as system:
        assert [delivery async for delivery in system.changes(None)] == []


async def test_a_version_sorts_as_the_environment_counts(dynamics: Dynamics, environment: DynamicsEnvironment) -> None:
    one = environment.create("account", {"name": "Alder"})
    (before,) = await dynamics.read("account", [one])
    environment.update("account", one, {"name": "Birch"})
    (after,) = await dynamics.read("account", [one])
    assert before.version is not None
    assert after.version is not None
    assert len(before.version) == 20
    assert before.version < after.version
    assert int(after.version) == environment.row("account", one)["versionnumber"]


async def test_a_write_reports_the_version_that_a_read_then_finds(dynamics: Dynamics) -> None:
    created = await write_one(dynamics, account({"name": "Alder"}, None))
    updated = await write_one(dynamics, account({"name": "Birch"}, created.record_id))
    (row,) = await dynamics.read("account", [created.record_id])
    assert created.version is not None
    assert updated.version is not None
    assert created.version < updated.version == row.version


async def test_a_write_at_another_version_is_a_conflict(dynamics: Dynamics, environment: DynamicsEnvironment) -> None:
    created = await write_one(dynamics, account({"name": "Alder"}, None))
    environment.update("account", created.record_id, {"name": "Cedar"})
    with pytest.raises(ConflictError) as caught:
        await write_one(dynamics, account({"name": "Birch"}, created.record_id, created.version))
    assert caught.value.code == "0x80060882"
    assert environment.row("account", created.record_id)["name"] == "Cedar"


async def test_a_write_at_the_right_version_is_done(dynamics: Dynamics, environment: DynamicsEnvironment) -> None:
    created = await write_one(dynamics, account({"name": "Alder"}, None))
    await write_one(dynamics, account({"name": "Birch"}, created.record_id, created.version))
    assert environment.row("account", created.record_id)["name"] == "Birch"


async def test_the_version_of_a_deleted_row_is_a_conflict(dynamics: Dynamics) -> None:
    with pytest.raises(ConflictError):
        await write_one(dynamics, account({"name": "Birch"}, NOBODY, "00000000000000000042.deleted"))


async def test_an_upsert_race_ends_as_an_update(dynamics: Dynamics, environment: DynamicsEnvironment) -> None:
    record_id = environment.create("account", {"name": "Alder", "isthmus_id": "can-1"})
    environment.fail_next(1, 412, "0x80040237")
    written = await write_one(dynamics, account({"name": "Birch"}, None))
    assert (written.record_id, written.created) == (record_id, False)
    assert environment.row("account", record_id)["name"] == "Birch"


async def test_an_upsert_race_whose_winner_is_gone_is_tried_again_later(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    environment.fail_next(1, 412, "0x80040237")
    with pytest.raises(TransientError):
        await write_one(dynamics, account({"name": "Birch"}, None))
    assert environment.rows("account") == {}


async def test_a_duplicate_key_that_stays_is_permanent(dynamics: Dynamics, environment: DynamicsEnvironment) -> None:
    environment.fail_next(2, 412, "0x80040237")
    with pytest.raises(PermanentError, match="0x80040237"):
        await write_one(dynamics, account({"name": "Birch"}, None))


async def test_a_throttled_write_says_when_to_come_back(dynamics: Dynamics, environment: DynamicsEnvironment) -> None:
    environment.fail_next(1, 429, "0x80072322", retry_after=17)
    with pytest.raises(TransientError, match="exceeded the limit of 6000") as caught:
        await write_one(dynamics, account({"name": "Birch"}, None))
    assert caught.value.retry_after == 17.0


async def test_a_write_whose_answer_was_lost_may_be_repeated(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    environment.lose_answers(1)
    with pytest.raises(TransientError):
        await write_one(dynamics, account({"name": "Alder"}, None))
    written = await write_one(dynamics, account({"name": "Alder"}, None))
    assert list(environment.rows("account")) == [written.record_id]
    assert written.created is False


async def test_our_writes_carry_our_tag(environment: DynamicsEnvironment) -> None:
    environment.register_webhook("http://localhost:1/", entities=["account"])
    async with joined(environment, client_name="isthmus & co") as system:
        await system.open()
        await write_one(system, account({"name": "Alder"}, None))
        await environment.until_settled()
    (posting,) = [environment._failed[operation] for operation in environment.failed()]
    assert b"isthmus & co" in posting.body


async def test_a_token_is_kept_and_renewed_before_its_end() -> None:
    environment = DynamicsEnvironment(seed=7, token_lifetime=3599)
    issued: list[str] = []
    issue = environment.authority.issue
    environment.authority.issue = lambda form: issued.append("one") or issue(form)  # type: ignore[method-assign,func-returns-value]
    async with joined(environment) as system:
        await system.open()
        for _ in range(3):
            await system.read("account", [NOBODY])
        assert len(issued) == 1
        environment.expire_tokens()
        await system.read("account", [NOBODY])
    assert len(issued) == 2


@pytest.mark.parametrize(("lifetime", "used"), [(3599, 3539.0), ("3599", 3539.0), (30, 15.0)])
def test_a_token_is_used_until_shortly_before_its_end(lifetime: object, used: float) -> None:
    found = token("http://localhost", {"access_token": "x", "expires_in": lifetime}, asked=100.0)
    assert found.expires_at == 100.0 + used


def test_an_answer_without_a_token_is_an_auth_error() -> None:
    with pytest.raises(AuthError):
        token("http://localhost", None, asked=0.0)


async def test_https_with_the_environments_own_certificates(environment: DynamicsEnvironment) -> None:
    async with serve_dynamics(environment) as served:
        secure = replace(config(environment, served), url=served.https_url, authority=served.https_url)
        trusting, doubting = Dynamics(replace(secure, ca_file=served.ca_file), OBJECTS), Dynamics(secure, OBJECTS)
        try:
            await trusting.open()
            assert (await trusting.read("account", [NOBODY]))[0].exists is False
            with pytest.raises(TransientError):
                await doubting.open()
        finally:
            await trusting.close()
            await doubting.close()


async def test_check_finds_wrong_names_and_a_missing_key(environment: DynamicsEnvironment) -> None:
    right = OBJECTS["account"]
    wrong = SystemMapping.model_validate(
        {
            **right.model_dump(by_alias=True),
            "collection": "acounts",
            "external_id": "accountnumber",
            "fields": {"name": "nmae", "phone": "telephone1"},
        }
    )
    async with serve_dynamics(environment) as served:
        system = Dynamics(config(environment, served), {"account": wrong})
        try:
            findings = {finding.name: finding for finding in await system.check()}
        finally:
            await system.close()
    assert not findings["account"].ok
    assert "collection: accounts" in findings["account"].hint
    assert "nmae is missing" in findings["account columns"].message
    assert not findings["account alternate key"].ok


def test_a_url_stays_short_however_many_columns() -> None:
    wide = SystemMapping(
        object="account",
        external_id="isthmus_id",
        collection="accounts",
        primary_key="accountid",
        fields={f"f{n}": f"column_with_a_long_name_{n}" for n in range(400)},
    )
    portions = list(fitting(wide, [NOBODY] * 300))
    assert 1 <= len(portions[0]) < 100
    assert all(len(query(wide, portion)) < 16_000 for portion in portions)


async def test_a_mapping_without_a_collection_is_refused(environment: DynamicsEnvironment) -> None:
    homeless = OBJECTS["account"].model_copy(update={"collection": None})
    async with serve_dynamics(environment) as served:
        system = Dynamics(config(environment, served), {"account": homeless})
        await system.open()
        with pytest.raises(PermanentError, match="no collection"):
            await system.read("account", [NOBODY])
        await system.close()
