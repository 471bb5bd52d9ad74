"""Latency: from a change on the source's topic to its canonical event, committed, at a steady rate.

`python bench/latency.py --rate 100 --seconds 30` starts a Kafka and a worker of its own, feeds changes of known records
one a frame at the rate, reads `events.account` (read committed) with librdkafka, and prints p50, p99 and the largest in
milliseconds as its last line, JSON. The first third warms up and is not counted.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from changes import changes
from common import create_topic
from confluent_kafka import Consumer, Producer

from isthmus.codecs.frames import Stamp
from isthmus.node.broker import running_kafka
from isthmus.tables.unit import partition_of

PARTITIONS, RECORDS = 4, 500
NAMESPACE = "latency-"


class Feed:
    """Writes one change a frame and remembers when."""

    def __init__(self, bootstrap: str, total: int) -> None:
        self.sent: dict[str, float] = {}
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "enable.idempotence": True})
        self._numbers = [0] * PARTITIONS
        self._changes = changes(total, RECORDS)

    def tell(self) -> None:
        """The next change."""
        key, value = next(self._changes)
        change_id = json.loads(value)["change"]["change_id"]
        partition = partition_of(key, PARTITIONS)
        stamp = Stamp(f"latency-{partition}", self._numbers[partition])
        self._numbers[partition] += 1
        self.sent.setdefault(change_id, time.monotonic())
        topic = f"{NAMESPACE}changes.salesforce"
        self._producer.produce(topic, b"[" + value + b"]", partition=partition, headers=list(stamp.headers()))
        self._producer.poll(0)


def heard(consumer: Consumer, seconds: float) -> Iterator[tuple[str, float]]:
    """The change ids of the events that come within so many seconds, with when."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        message = consumer.poll(min(left, 0.002))
        if message is not None and message.error() is None:
            now = time.monotonic()
            yield json.loads(message.value())["cause"]["change_id"], now


def run(bootstrap: str, rate: float, seconds: float) -> list[float]:
    """Milliseconds, one a change whose event was seen; the warm-up apart."""
    feed = Feed(bootstrap, int(rate * seconds * 1.2))
    lasting: dict[str, float] = {}
    settings = {"bootstrap.servers": bootstrap, "group.id": "latency", "auto.offset.reset": "earliest"}
    consumer = Consumer({**settings, "isolation.level": "read_committed", "fetch.wait.max.ms": 5})
    consumer.subscribe([f"{NAMESPACE}events.account"])
    begun, told = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        while told < (time.monotonic() - begun) * rate:
            feed.tell()
            told += 1
        for change_id, now in heard(consumer, 0.001):
            lasting.setdefault(change_id, now)
    for change_id, now in heard(consumer, 3):
        lasting.setdefault(change_id, now)
    consumer.close()
    counted = [one for one, at in feed.sent.items() if at - begun > seconds / 3 and one in lasting]
    return sorted((lasting[one] - feed.sent[one]) * 1000 for one in counted)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    chosen = parser.parse_args()
    with running_kafka() as bootstrap:
        create_topic(bootstrap, f"{NAMESPACE}changes.salesforce", PARTITIONS)
        words = [f"--bootstrap={bootstrap}", f"--topic={NAMESPACE}", f"--run={NAMESPACE}", f"--total={10**12}"]
        with subprocess.Popen([sys.executable, str(Path(__file__).with_name("stages.py")), *words]) as worker:
            try:
                took = run(bootstrap, chosen.rate, chosen.seconds)
            finally:
                worker.send_signal(signal.SIGKILL)
    figures = {"p50_ms": took[len(took) // 2], "p99_ms": took[len(took) * 99 // 100], "max_ms": took[-1]}
    print(json.dumps({"rate": chosen.rate, "changes": len(took), **{k: round(v, 1) for k, v in figures.items()}}))


if __name__ == "__main__":
    main()
