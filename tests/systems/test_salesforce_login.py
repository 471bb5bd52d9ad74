"""Logging in to Salesforce: by secret, by signed assertion, again after either was changed, and refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sforg import joined, upsert

from isthmus.config.errors import AuthError, TransientError
from isthmus.simulators.salesforce import SalesforceOrg, serve_salesforce
from isthmus.systems.protocol import Written
from isthmus.systems.salesforce.adapter import Salesforce


def make_key(file: Path) -> str:
    """A new private key in a file; the public one."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, public).decode()


@pytest.fixture
def org() -> SalesforceOrg:
    return SalesforceOrg(seed=10)


@pytest.fixture
def key(tmp_path: Path, org: SalesforceOrg) -> Path:
    file = tmp_path / "key.pem"
    org.public_key = make_key(file)
    return file


async def works(salesforce: Salesforce) -> bool:
    (answer,) = await salesforce.write([upsert(1)])
    if isinstance(answer, AuthError):
        raise answer
    return isinstance(answer, Written)


async def test_a_signed_assertion_logs_in(org: SalesforceOrg, key: Path) -> None:
    org.client_secret = "unknown to us"
    async with joined(org, client_secret="", private_key_file=key, username=org.username) as salesforce:
        assert await works(salesforce)


async def test_a_key_that_was_changed_is_read_again_without_a_restart(org: SalesforceOrg, key: Path) -> None:
    async with joined(org, private_key_file=key, username=org.username) as salesforce:
        org.public_key = make_key(key)
        org.expire_tokens()
        assert await works(salesforce)


async def test_a_secret_that_was_changed_is_read_again_without_a_restart(org: SalesforceOrg, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{org.client_secret}\n")
    async with joined(org, client_secret="", client_secret_file=file) as salesforce:
        org.client_secret = "new"
        org.expire_tokens()
        with pytest.raises(AuthError):
            await works(salesforce)
        file.write_text("new\n")
        assert await works(salesforce)


async def test_one_login_however_many_callers_meet_the_end_of_a_token(org: SalesforceOrg) -> None:
    async with joined(org) as salesforce:
        org.expire_tokens()
        before = org.logins
        answers = await asyncio.gather(*(works(salesforce) for _ in range(25)))
    assert all(answers)
    assert org.logins == before + 1


async def test_the_instance_that_the_login_names_is_the_one_that_is_called(org: SalesforceOrg) -> None:
    moved = SalesforceOrg(seed=11)
    async with serve_salesforce(moved) as elsewhere:
        moved.tokens = org.tokens
        org.instance_url = f"{elsewhere}/"
        async with joined(org) as salesforce:
            assert await works(salesforce)
    assert (len(org.rows("Account")), len(moved.rows("Account"))) == (0, 1)


async def refusal(org: SalesforceOrg, **changed: object) -> AuthError:
    with pytest.raises(AuthError) as caught:
        async with joined(org, **changed):
            pass
    told = f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r}"
    assert org.client_secret not in told
    assert "PRIVATE KEY" not in told
    assert caught.value.hint
    return caught.value


async def test_each_way_to_be_refused_is_told_as_the_org_tells_it(org: SalesforceOrg, key: Path) -> None:
    signed = {"private_key_file": key, "username": org.username}
    assert "client identifier invalid" in str(await refusal(org, client_id="x"))
    assert "invalid client credentials" in str(await refusal(org, client_secret="x"))
    assert "audience is invalid" in str(await refusal(org, **signed, audience="https://elsewhere.example"))
    assert "hasn't approved" in str(await refusal(org, private_key_file=key, username="stranger@example.com"))
    make_key(key)
    assert "invalid assertion" in str(await refusal(org, **signed))
    org.run_as = None
    assert "no client credentials user" in str(await refusal(org))


async def test_a_clock_that_is_wrong_is_told(org: SalesforceOrg, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.systems.salesforce.login.ASSERTION_SECONDS", -60)
    fault = await refusal(org, private_key_file=key, username=org.username)
    assert "expired authorization code" in str(fault)
    assert "clock" in fault.hint


@pytest.mark.parametrize(
    "content", [None, "", "no key at all", "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----"]
)
async def test_a_file_that_holds_no_key_is_told_by_its_name(
    org: SalesforceOrg, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "key.pem"
    if content is not None:
        file.write_text(content)
    fault = await refusal(org, private_key_file=file, username=org.username)
    assert "key.pem" in str(fault)


async def test_a_login_that_is_too_busy_is_waited_for(org: SalesforceOrg) -> None:
    org.faults.fail(1, 503, "busy", 5, path="/oauth2/token")
    with pytest.raises(TransientError) as caught:
        async with joined(org):
            pass
    assert caught.value.retry_after == 5.0
