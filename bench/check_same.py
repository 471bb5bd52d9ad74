"""Proves that all contenders do the same work: the same events, in the same order per record, with the same values.

`python bench/check_same.py` runs every contender over 5,000 changes, on a Kafka of its own unless `KAFKA_URL` is set.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from changes import expected, prepare
from common import partitions_of
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from kafka_streams import missing

from isthmus.node.broker import running_kafka

CONTENDERS = ("floor", "plain_faust", "quix", "kafka_streams")
TOTAL, RECORDS = 5_000, 500
SECONDS = 180

Events = dict[str, list[dict[str, Any]]]
Fields = dict[str, dict[str, tuple[Any, str]]]


def _messages(bootstrap: str, topic: str) -> Iterator[tuple[bytes, bytes]]:
    """Every record of the topic, up to where it ends now."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex, "enable.partition.eof": True})
    left = partitions_of(bootstrap, topic)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(left)])
    while left:
        for message in consumer.consume(500, timeout=1):
            if message.error() is None:
                yield message.key(), message.value()
            else:
                left -= 1
    consumer.close()


def events_of(bootstrap: str, topic: str) -> Events:
    """The events that a contender wrote, by record, in their order."""
    found: Events = {}
    for key, value in _messages(bootstrap, topic):
        event = orjson.loads(value)
        assert event["key"] == key.decode(), f"{topic}: {event['key']} was written with the key {key!r}"
        found.setdefault(event["key"], []).append(event)
    return found


def final_fields(events: Events) -> Fields:
    """What each record's fields are at the end, and by which change: all events of a record, one over the other."""
    return {
        key: {name: (new, by) for event in its for name, (new, _, by) in event["changed"].items()}
        for key, its in events.items()
    }


def same_work(bootstrap: str, topics: Mapping[str, str], events: int) -> None:
    """Compare the topics, given by contender: so many events each, equal fields at the end, equal event by event."""
    found = {contender: events_of(bootstrap, topic) for contender, topic in topics.items()}
    first, *others = found
    for contender, its in found.items():
        ids = [event["id"] for of_record in its.values() for event in of_record]
        assert (len(ids), len(set(ids))) == (events, events), f"{contender}: {len(ids)} events, {events} expected"
    for contender in others:
        assert final_fields(found[contender]) == final_fields(found[first]), f"{contender}: other fields than {first}"
        assert found[contender] == found[first], f"{contender}: other events than {first}"


def run(contender: str, bootstrap: str, topic: str, run: str, total: int, warmup: int = 0) -> dict[str, Any]:
    """Run one contender, as from the command line; its figures."""
    where = ["--bootstrap", bootstrap, "--topic", topic, "--run", run, "--total", str(total), "--warmup", str(warmup)]
    program = Path(__file__).with_name(f"{contender}.py")
    ended = subprocess.run([sys.executable, program, *where], capture_output=True, timeout=SECONDS)
    if ended.returncode:
        raise RuntimeError(f"{contender} ended with {ended.returncode}: {ended.stderr.decode()[-2000:]}")
    figures: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return figures


def able() -> list[str]:
    """The contenders that can run here; why the others cannot is said on stderr."""
    if why := missing():
        print(why, file=sys.stderr)
    return [contender for contender in CONTENDERS if contender != "kafka_streams" or not why]


def main() -> None:
    """All contenders, one after the other, then the comparison."""
    run_id = uuid.uuid4().hex[:8]
    topic = f"same-{run_id}"
    with running_kafka() as bootstrap:
        prepare(bootstrap, topic, TOTAL, RECORDS)
        for contender in able():
            print(json.dumps(run(contender, bootstrap, topic, run_id, TOTAL, TOTAL // 5)), flush=True)
        same_work(bootstrap, {name: f"{topic}-out-{name}-{run_id}" for name in able()}, expected(TOTAL, RECORDS))
    print("all contenders did the same work")


if __name__ == "__main__":
    main()
