"""The simulated Entra through msal as anyone uses it, unmodified: over https, by secret and by certificate."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("msal", reason="msal is not installed: pip install -e '.[strangers]'")

import aiohttp
import msal
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from isthmus.simulators.dynamics import DynamicsEnvironment, Served, serve_dynamics


@pytest.fixture
def environment() -> DynamicsEnvironment:
    return DynamicsEnvironment(seed=7)


@pytest.fixture
async def served(environment: DynamicsEnvironment, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    async with serve_dynamics(environment) as served:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(served.ca_file))
        yield served


async def acquired(environment: DynamicsEnvironment, served: Served, credential: Any) -> dict[str, Any]:
    """What msal answers; it blocks, and the server lives in this loop."""

    def ask() -> dict[str, Any]:
        app = msal.ConfidentialClientApplication(
            environment.client_id,
            client_credential=credential,
            authority=f"{served.https_url}/{environment.tenant}",
            instance_discovery=False,
        )
        answer: dict[str, Any] = app.acquire_token_for_client([f"{served.https_url}/.default"])
        again = app.acquire_token_for_client([f"{served.https_url}/.default"])
        assert again.get("access_token") == answer.get("access_token"), "msal keeps what it was given"
        return answer

    return await asyncio.to_thread(ask)


def certificate() -> tuple[str, str]:
    """A private key and its own certificate, PEM."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stranger")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return pem.decode(), signed.public_bytes(serialization.Encoding.PEM).decode()


async def test_a_secret_gives_a_token_that_the_web_api_takes(environment: DynamicsEnvironment, served: Served) -> None:
    told = await acquired(environment, served, environment.client_secret)
    assert told["token_type"] == "Bearer"
    headers = {"Authorization": f"Bearer {told['access_token']}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{served.http_url}/api/data/v9.2/WhoAmI") as response,
    ):
        assert response.status == 200


async def test_a_certificate_gives_one_too_and_a_stranger_s_does_not(
    environment: DynamicsEnvironment, served: Served
) -> None:
    private, public = certificate()
    environment.authority.add_certificate(environment.client_id, public)
    told = await acquired(environment, served, {"private_key": private, "public_certificate": public})
    assert told["access_token"]
    private, public = certificate()
    told = await acquired(environment, served, {"private_key": private, "public_certificate": public})
    assert told["error"] == "invalid_client"


async def test_a_wrong_secret_is_refused_in_entra_s_words(environment: DynamicsEnvironment, served: Served) -> None:
    told = await acquired(environment, served, "guess")
    assert told["error"] == "invalid_client"
    assert told["error_codes"] == [7000215]
