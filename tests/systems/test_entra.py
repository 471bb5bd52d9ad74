"""Logging in to Entra: by a secret, a file that is renewed, a certificate; and what a refusal tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from logins import log_in

from isthmus.config.errors import AuthError, TransientError
from isthmus.simulators.dynamics import DynamicsEnvironment, Served, serve_dynamics


@pytest.fixture
def environment() -> DynamicsEnvironment:
    return DynamicsEnvironment(seed=7)


@pytest.fixture
async def served(environment: DynamicsEnvironment) -> AsyncIterator[Served]:
    async with serve_dynamics(environment) as served:
        yield served


def pair(folder: Path, name: str, days: int = 10) -> Path:
    """A private key and its certificate in a file."""
    key = generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, SHA256())
    )
    file = folder / f"{name}.pem"
    own = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(own + certificate.public_bytes(Encoding.PEM))
    return file


def public(file: Path) -> str:
    """The certificate alone, as it is uploaded."""
    text = file.read_text()
    return text[text.index("-----BEGIN CERTIFICATE") :]


async def test_a_secret_gives_a_token(environment: DynamicsEnvironment, served: Served) -> None:
    token = await log_in(environment, served, client_secret=environment.client_secret)
    assert environment.authority.bearer(f"Bearer {token.value}").client_id == environment.client_id
    assert token.expires_at is not None


async def test_a_file_is_read_anew_at_each_login_and_while_rotating_either_secret_does(
    environment: DynamicsEnvironment, served: Served, tmp_path: Path
) -> None:
    file, old, new = tmp_path / "secret", environment.client_secret, "new one"
    file.write_text(f"{old}\n")
    await log_in(environment, served, secret_file=file)
    file.write_text(f"\n{new}\n{old}\n")
    await log_in(environment, served, secret_file=file)
    environment.authority.add_secret(environment.client_id, new)
    environment.authority.remove_secret(environment.client_id, old)
    await log_in(environment, served, secret_file=file)
    file.write_text(old)
    with pytest.raises(AuthError, match="Invalid client secret") as caught:
        await log_in(environment, served, secret_file=file)
    assert old not in str(caught.value)


async def test_a_certificate_gives_a_token_and_another_does_not(
    environment: DynamicsEnvironment, served: Served, tmp_path: Path
) -> None:
    ours, other = pair(tmp_path, "ours"), pair(tmp_path, "other")
    environment.authority.add_certificate(environment.client_id, public(ours))
    assert (await log_in(environment, served, certificate_file=ours)).value
    with pytest.raises(AuthError, match="AADSTS700027"):
        await log_in(environment, served, certificate_file=other)
    environment.authority.add_certificate(environment.client_id, public(other))
    ours.write_text(other.read_text())
    assert (await log_in(environment, served, certificate_file=ours)).value, "a renewed file needs no restart"


@pytest.mark.parametrize("content", ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
async def test_a_file_that_holds_no_certificate_is_an_auth_error_that_does_not_show_it(
    environment: DynamicsEnvironment, served: Served, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "c.pem"
    file.write_text(content)
    with pytest.raises(AuthError) as caught:
        await log_in(environment, served, certificate_file=file)
    assert "AAAA" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("content", [None, "", "\n\n"])
async def test_a_file_without_a_secret_says_which(
    environment: DynamicsEnvironment, served: Served, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "gone"
    if content is not None:
        file.write_text(content)
    with pytest.raises(AuthError, match="gone"):
        await log_in(environment, served, secret_file=file)


async def test_no_secret_is_told_to_another_machine_in_the_open(
    environment: DynamicsEnvironment, served: Served
) -> None:
    with pytest.raises(AuthError, match="https"):
        await log_in(environment, served, authority="http://login.example", client_secret="x")


async def test_an_authority_that_does_not_answer_is_transient(environment: DynamicsEnvironment, served: Served) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(silent, "localhost", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(TransientError):
        await log_in(environment, served, authority=f"http://localhost:{port}", client_secret="x")
    server.close()
