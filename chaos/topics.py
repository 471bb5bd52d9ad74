"""Reading a topic from outside: every committed record of a partition, one at a time.

Promises: ends at what is committed when it comes there; holds a few fetches, however long the topic is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

PARTITIONS = 4
AT_ONCE = 1000
PATIENCE = 30.0
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
        while True:
            messages = consumer.consume(AT_ONCE, PATIENCE)
            if not messages:
                raise TimeoutError(f"{topic}/{partition}: Kafka gives nothing")
            for message in messages:
                if (fault := message.error()) is None:
                    yield Read(message.key() or b"", message.value() or b"", message.headers() or ())
                elif fault.code() == KafkaError._PARTITION_EOF:
                    return
                else:
                    raise KafkaException(fault)
    finally:
        consumer.close()
