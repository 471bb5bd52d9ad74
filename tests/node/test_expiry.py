"""A certificate that ends soon is said before it does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from isthmus.config.settings import Settings
from isthmus.node.check import certificates

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def settings(file: Path) -> Settings:
    known = {"url": "https://o.crm.dynamics.com", "tenant": "t", "client_id": "c", "certificate_file": str(file)}
    return Settings.model_validate({"dynamics": known})


def written(folder: Path, ends: datetime) -> Path:
    """A private key and its certificate in a file."""
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "isthmus")])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=400))
        .not_valid_after(ends)
        .sign(key, SHA256())
    )
    file = folder / "app.pem"
    own = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(own + certificate.public_bytes(Encoding.PEM))
    return file


@pytest.mark.parametrize(("days", "state"), [(31, "ok"), (29, "warn"), (-1, "fail")])
def test_a_certificate_that_ends_within_a_month_is_warned_of(tmp_path: Path, days: int, state: str) -> None:
    (answer,) = certificates(settings(written(tmp_path, NOW + timedelta(days=days))), NOW)
    assert (answer.name, answer.state) == ("dynamics certificate", state)
    assert "app registration" in answer.hint


def test_a_file_without_a_certificate_fails_and_who_has_none_is_not_asked(tmp_path: Path) -> None:
    file = tmp_path / "app.pem"
    file.write_text("no certificate")
    (answer,) = certificates(settings(file), NOW)
    assert (answer.state, "holds no certificate" in answer.message) == ("fail", True)
    assert certificates(Settings.model_validate({}), NOW) == []
