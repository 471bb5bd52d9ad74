"""The floor: what the work costs with librdkafka and RocksDB and no framework around them, at least once.

One loop: read a batch, work it into a RocksDB per partition, one write each, send state and events, and now and then
wait for the acknowledgements and commit. It does not restore, rebalance or explain anything: it is a lower bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
from common import COMPACTED, Meter, Options, create_output, create_topic, data_folder
from common import options as from_command_line
from confluent_kafka import Consumer, Message, Producer
from rocksdict import Options as RocksOptions
from rocksdict import Rdict, WriteBatch, WriteOptions
from work import apply, empty

NAME = "floor"
BATCH = 500
COMMIT_EVERY = 20


class Partition:
    """One partition's state. Its write-ahead log is off, as in Kafka Streams: the changelog is what is durable."""

    def __init__(self, path: Path) -> None:
        self.database = Rdict(str(path), RocksOptions(raw_mode=True))
        unlogged = WriteOptions()
        unlogged.disable_wal = True
        self.database.set_write_options(unlogged)
        self.pending: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """The record's state, with what this batch made of it."""
        return self.pending.get(key) or self.database.get(key)

    def write(self) -> None:
        """Write what the batch changed."""
        if not self.pending:
            return
        batch = WriteBatch(raw_mode=True)
        for key, value in self.pending.items():
            batch.put(key, value)
        self.database.write(batch)
        self.pending.clear()


class Floor:
    """The loop and what it holds."""

    def __init__(self, chosen: Options, folder: Path) -> None:
        self.chosen, self.meter = chosen, Meter(chosen.total, chosen.warmup)
        self.out, self.log = chosen.out(NAME), f"{chosen.name(NAME)}-changelog"
        count = create_output(chosen, NAME)
        create_topic(chosen.bootstrap, self.log, count, COMPACTED)
        self.partitions = [Partition(folder / str(number)) for number in range(count)]
        self.consumer, self.producer = _consumer(chosen), _producer(chosen)

    def run(self) -> None:
        """Read the whole topic and tell the figures."""
        self.consumer.subscribe([self.chosen.topic])
        batches, over = 0, False
        while not over:
            messages = self.consumer.consume(BATCH, timeout=0.5)
            over = self.meter.processed(len(messages), self.batch(messages))
            batches += 1
            if over or batches % COMMIT_EVERY == 0:
                self.commit(bool(messages))
        self.meter.report(NAME)
        self.consumer.close()

    def batch(self, messages: Sequence[Message]) -> int:
        """Work one batch in; tells how many events it made."""
        events = sum(map(self.one, messages))
        for partition in self.partitions:
            partition.write()
        self.producer.poll(0)
        return events

    def one(self, message: Message) -> bool:
        """Work one change in. Did it make an event?"""
        if error := message.error():
            raise RuntimeError(str(error))
        key, number = message.key(), message.partition()
        partition = self.partitions[number]
        held = partition.get(key)
        state = orjson.loads(held) if held else empty()
        event = apply(state, key.decode(), orjson.loads(message.value()))
        if event is None:
            return False
        partition.pending[key] = value = orjson.dumps(state)
        self.producer.produce(self.log, value, key, number)
        self.producer.produce(self.out, orjson.dumps(event), key, number)
        return True

    def commit(self, read: bool) -> None:
        """All that was sent is acknowledged: only then is the position moved."""
        if left := self.producer.flush(60):
            raise RuntimeError(f"{left} records were not acknowledged")
        if read:
            self.consumer.commit(asynchronous=False)


def _consumer(chosen: Options) -> Consumer:
    group = {"group.id": chosen.name(NAME), "auto.offset.reset": "earliest", "enable.auto.commit": False}
    return Consumer({"bootstrap.servers": chosen.bootstrap, **group})


def _producer(chosen: Options) -> Producer:
    settings = {"compression.type": "lz4", "acks": "all", "linger.ms": 50}
    return Producer({"bootstrap.servers": chosen.bootstrap, **settings, "queue.buffering.max.messages": 200_000})


def main() -> None:
    """The command line."""
    with data_folder() as folder:
        Floor(from_command_line(__doc__), folder).run()


if __name__ == "__main__":
    main()
