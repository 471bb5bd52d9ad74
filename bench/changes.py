"""The benchmark's input: Salesforce Account changes as they travel on `changes.salesforce`, the same for the same seed.

Promises: `total` counts every record that is written, with its duplicates; a duplicate is equal to the last byte.
"""

from __future__ import annotations

import argparse
import random
import uuid
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import orjson
from common import create_topic
from confluent_kafka import Producer

from isthmus.codecs.arrival import Arrival, native_key
from isthmus.codecs.change import Change, Value
from isthmus.codecs.frames import encode

DUPLICATES = 0.01
OVERTAKEN = 0.03
RECENT = 200
START = datetime(2026, 1, 5, 8, tzinfo=UTC)
ORIGIN = "com/salesforce/api/rest/62.0;client=SalesforceAccountDesk/service-console"
STREETS = ("Hauptstraße", "Market Street", "Rue de la Paix", "Lindenallee", "Harbour Road", "Via Garibaldi")
CITIES = ("Zürich", "Hamburg", "Rotterdam", "Lyon", "Kraków", "Manchester", "Bologna")
COUNTRIES = ("Switzerland", "Germany", "Netherlands", "France", "Poland", "United Kingdom", "Italy")
ADDRESS = ("BillingStreet", "BillingCity", "BillingPostalCode", "BillingCountry")
NAMES = ("Name", "AccountNumber", "Phone", "Website", "NumberOfEmployees", "Credit_Limit__c", *ADDRESS)

Pair = tuple[bytes, bytes]


def record_id(index: int) -> str:
    """The 18-character id of the record of that number."""
    return f"001Qy{index:010d}IAZ"


def _value(name: str, index: int, rng: random.Random) -> Value:
    number = rng.randrange(1, 9_999)
    match name:
        case "Name":
            return f"Northwind Trading and Logistics {number} Holding GmbH & Co. KG"
        case "AccountNumber":
            return f"ACC-{index:08d}"
        case "Phone":
            return f"+41 44 {number:04d} {number % 97:02d}"
        case "Website":
            return f"https://www.northwind-{number}.example.com/accounts/company-profile"
        case "NumberOfEmployees":
            return number
        case "Credit_Limit__c":
            return f"{number * 50}.00"
        case _:
            return _address(name, number)


def _address(name: str, number: int) -> str:
    match name:
        case "BillingStreet":
            return f"{STREETS[number % len(STREETS)]} {number % 240 + 1}, Building {number % 7 + 1}, Attn. Accounts Payable"
        case "BillingCity":
            return CITIES[number % len(CITIES)]
        case "BillingPostalCode":
            return f"{number:05d}"
        case _:
            return COUNTRIES[number % len(COUNTRIES)]


def fresh_change(number: int, index: int, rng: random.Random, *, all_fields: bool = False) -> Change:
    """Change number so-and-so, of the record of that index: five to eight of its fields, or all ten."""
    names = NAMES if all_fields else rng.sample(NAMES, rng.randint(5, 8))
    return Change(
        system="salesforce",
        entity="Account",
        record_id=record_id(index),
        operation="update",
        fields={name: _value(name, index, rng) for name in names},
        cleared=(),
        version=f"{number:020d}",
        changed_at=(START + timedelta(milliseconds=37 * number)).isoformat(timespec="milliseconds"),
        transaction=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        origin=ORIGIN,
        change_id=f"salesforce:{uuid.UUID(int=rng.getrandbits(128), version=4)}",
    )


def _pair(change: Change) -> Pair:
    arrival = Arrival(change, correlation=change.change_id)
    return native_key(change.system, change.record_id), encode(arrival)


def _fresh(number: int, records: int, rng: random.Random, late: dict[int, Pair]) -> Iterator[Pair]:
    """The next change: at once, or held back until its record's next one has overtaken it."""
    index = rng.randrange(records)
    pair = _pair(fresh_change(number, index, rng))
    if index in late:
        yield pair
        yield late.pop(index)
    elif rng.random() < OVERTAKEN:
        late[index] = pair
    else:
        yield pair


def changes(total: int = 200_000, records: int = 20_000, seed: int = 1) -> Iterator[Pair]:
    """Every Kafka record's key and value, in order."""
    rng = random.Random(seed)
    late: dict[int, Pair] = {}
    recent: deque[Pair] = deque(maxlen=RECENT)
    for number in range(1, total + 1):
        if recent and rng.random() < DUPLICATES:
            yield rng.choice(recent)
            continue
        for pair in _fresh(number, records, rng, late):
            recent.append(pair)
            yield pair
    yield from late.values()


def expected(total: int = 200_000, records: int = 20_000, seed: int = 1) -> int:
    """How many distinct change ids there are: how many events a contender has to produce."""
    return len({orjson.loads(value)["change"]["change_id"] for _, value in changes(total, records, seed)})


def prepare(
    bootstrap: str, topic: str, total: int = 200_000, records: int = 20_000, partitions: int = 4, seed: int = 1
) -> None:
    """Create the topic and write every change to it."""
    create_topic(bootstrap, topic, partitions)
    settings = {"bootstrap.servers": bootstrap, "compression.type": "lz4", "partitioner": "murmur2_random"}
    producer = Producer(
        {**settings, "linger.ms": 50, "enable.idempotence": True, "queue.buffering.max.messages": 200_000}
    )
    for key, value in changes(total, records, seed):
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if left := producer.flush(60):
        raise RuntimeError(f"{left} changes did not reach {topic}")


def main() -> None:
    """`python bench/changes.py --bootstrap B --topic T [--total N] [--records R] ...`"""
    parser = argparse.ArgumentParser(description=prepare.__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    for name, value in (("total", 200_000), ("records", 20_000), ("partitions", 4), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    prepare(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
