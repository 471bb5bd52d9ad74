"""What all tests may use: a real Kafka, started once, and a name of their own on it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from hypothesis import settings

from isthmus.node.broker import running_kafka

# How long an example takes says more of the machine's other work than of ours.
settings.register_profile("isthmus", deadline=None)
settings.load_profile("isthmus")


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Bootstrap servers of the session's one Kafka: that of `KAFKA_URL`, else one that runs as long as the session."""
    with running_kafka() as bootstrap:
        yield bootstrap


@pytest.fixture
def namespace() -> str:
    """A prefix for topics and groups that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}-"
