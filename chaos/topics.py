"""Reading a topic from outside: every committed record of a partition, one at a time.

Promises: ends at what is committed when it comes there; holds a few fetches, however long the topic is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

PARTITIONS = 4
AT_ONCE = 1000
PATIENCE = 30.0
LINGER = 0.1  # it waits so long for as many
HELD_KILOBYTES = 32 << 10


@dataclass(frozen=True, slots=True)
class Read:
    """A record."""

    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


def committed(bootstrap: str, topic: str, partition: int) -> Iterator[Read]:
    """Every committed record, in order; TimeoutError where Kafka gives nothing for long."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "chaos-proof",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": HELD_KILOBYTES,
            "log_level": 3,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
        heard = time.monotonic()
        while time.monotonic() - heard < PATIENCE:
            for message in consumer.consume(AT_ONCE, LINGER):
                heard = time.monotonic()
                if (fault := message.error()) is None:
                    yield Read(message.key() or b"", message.value() or b"", message.headers() or ())
                elif fault.code() == KafkaError._PARTITION_EOF:
                    return
                else:
                    raise KafkaException(fault)
        raise TimeoutError(f"{topic}/{partition}: Kafka gives nothing")
    finally:
        consumer.close()
