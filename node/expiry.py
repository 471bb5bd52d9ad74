"""When what we prove ourselves by ends: the certificates that Entra knows us by.

Promises: pure; says nothing of a secret, whose end is known to Entra alone.
"""

from __future__ import annotations

from datetime import datetime

from cryptography import x509

from isthmus.config.errors import ConfigError


def days_left(pem: bytes, now: datetime) -> int:
    """Whole days for which the first certificate of a PEM file is still valid, below zero where it is not any more;
    ConfigError where there is none."""
    try:
        first, *_ = x509.load_pem_x509_certificates(pem)
    except ValueError as fault:
        raise ConfigError("holds no certificate") from fault
    return (first.not_valid_after_utc - now).days
