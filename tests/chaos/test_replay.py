"""The proof sees an event that nothing accounts for, and one that is there twice."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chaos.proof import Findings, events
from chaos.replay import Node, replay
from chaos.topics import PARTITIONS, Read
from isthmus.codecs.frames import encode
from isthmus.codecs.linked import Linked
from isthmus.tables.unit import partition_of

WHEN = "2026-01-01T00:00:00Z"
CHANGE = Linked("salesforce", "001a", "account", "c-1", "create", {"name": "A"}, (), "1", WHEN, "001a@1", "corr")


@pytest.mark.parametrize(("times", "kind"), [(0, "lost"), (1, ""), (2, "duplicated")])
async def test_each_event_is_to_be_there_once(kafka: str, namespace: str, times: int, kind: str) -> None:
    frame = encode([CHANGE])
    ((topic, event),) = replay(namespace, [Read(b"", frame, ())])
    await _topics(kafka, namespace)
    await _send(kafka, f"{namespace}merge", b"", frame, [])
    for _ in range(times):
        await _send(kafka, topic, event.key, event.value, list(event.headers))
    assert await _found(kafka, namespace) == {kind: 1} if kind else await _found(kafka, namespace) == {}


async def test_an_event_without_a_cause_is_unexplained(kafka: str, namespace: str) -> None:
    await _topics(kafka, namespace)
    await _send(kafka, f"{namespace}events.contact", b"c-9", b"{}", [])
    assert await _found(kafka, namespace) == {"unexplained": 1}


async def _found(kafka: str, namespace: str) -> dict[str, int]:
    found = Findings()
    await events(Node(kafka, namespace), found)
    return {kind: number for kind, number in found.counted().items() if number}


async def _topics(kafka: str, namespace: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    names = ("merge", "events.account", "events.contact")
    await admin.create_topics([NewTopic(namespace + name, PARTITIONS, 1) for name in names])
    await admin.close()


async def _send(kafka: str, topic: str, key: bytes, value: bytes, headers: Any) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    await producer.send_and_wait(topic, value, key=key, partition=partition_of(key, PARTITIONS), headers=headers)
    await producer.stop()
