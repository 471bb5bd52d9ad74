"""Latency: from a change on the source's topic to its canonical event, committed, at a steady rate.

`python bench/latency.py --rate 100 --seconds 30` starts a Kafka and a worker of its own, heats both with a flood (which
tells the peak), feeds changes of known records one a frame at the rate, reads `events.account` (read committed) with
librdkafka, and prints p50, p99 and the largest in milliseconds as its last line, JSON. Without `--rate` it measures at 100
changes a second and at half of the peak. `make bench-latency` measures the form that users run; the
program alone what is imported.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from changes import changes
from common import create_topic
from confluent_kafka import Consumer, Producer

from isthmus.codecs.frames import Stamp
from isthmus.node.broker import running_kafka
from isthmus.node.form import COMPILED, form
from isthmus.tables.unit import partition_of

PARTITIONS, RECORDS = 4, 500
QUIET_SECONDS = 10.0
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


class Ear:
    """Hears the events, and when each change's came."""

    def __init__(self, bootstrap: str) -> None:
        self.heard: dict[str, float] = {}
        settings = {"bootstrap.servers": bootstrap, "group.id": "latency", "auto.offset.reset": "earliest"}
        self._consumer = Consumer({**settings, "isolation.level": "read_committed"})
        self._consumer.subscribe([f"{NAMESPACE}events.account"])

    def listen(self, seconds: float) -> None:
        """For so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            message = self._consumer.poll(left)
            if message is not None and message.error() is None:
                self.heard.setdefault(json.loads(message.value())["cause"]["change_id"], time.monotonic())

    def close(self) -> None:
        """No more."""
        self._consumer.close()


def flood(feed: Feed, ear: Ear, worker: subprocess.Popen[bytes], changes: int) -> float:
    """Feed so many at once and wait until nothing more comes; changes a second over the later half."""
    for _ in range(changes):
        feed.tell()
    before = -1
    while len(ear.heard) > before:  # an overtaken change makes no event, so nobody knows how many will come
        before = len(ear.heard) if ear.heard else -1
        ear.listen(QUIET_SECONDS)
        if worker.poll() is not None:
            raise SystemExit(f"the worker ended ({worker.returncode}): its words stand above")
    times = sorted(ear.heard.values())
    half = len(times) // 2
    return half / (times[-1] - times[half])


def steady(feed: Feed, ear: Ear, rate: float, seconds: float) -> list[float]:
    """Milliseconds, one a change whose event was seen; the first third warms up."""
    already, begun, told = {*feed.sent}, time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        while told < (time.monotonic() - begun) * rate:
            feed.tell()
            told += 1
        ear.listen(max(0.0, begun + told / rate - time.monotonic()))
    ear.listen(3)
    counted = [
        one for one, at in feed.sent.items() if one not in already and at - begun > seconds / 3 and one in ear.heard
    ]
    return sorted((ear.heard[one] - feed.sent[one]) * 1000 for one in counted)


def figures(rate: float, took: list[float]) -> dict[str, float]:
    """What is told of a rate."""
    shown = {"p50_ms": took[len(took) // 2], "p99_ms": took[len(took) * 99 // 100], "max_ms": took[-1]}
    return {"rate": round(rate), "changes": len(took), **{name: round(value, 1) for name, value in shown.items()}}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, help="default: 100, and half of the peak")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--flood", type=int, default=20_000, help="changes that heat up the worker and Kafka")
    chosen = parser.parse_args()
    with running_kafka() as bootstrap:
        create_topic(bootstrap, f"{NAMESPACE}changes.salesforce", PARTITIONS)
        words = [f"--bootstrap={bootstrap}", f"--topic={NAMESPACE}", f"--run={NAMESPACE}", f"--total={10**12}"]
        with subprocess.Popen([sys.executable, str(Path(__file__).with_name("stages.py")), *words]) as worker:
            try:
                feed, ear = Feed(bootstrap, 10**6), Ear(bootstrap)
                peak = flood(feed, ear, worker, chosen.flood)
                rates = [chosen.rate] if chosen.rate else [100.0, peak / 2]
                found = [figures(rate, steady(feed, ear, rate, chosen.seconds)) for rate in rates]
                ear.close()
            finally:
                worker.send_signal(signal.SIGKILL)
    print(json.dumps({"peak": round(peak), "rates": found, "compiled": form() == COMPILED}))


if __name__ == "__main__":
    main()
