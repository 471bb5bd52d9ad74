"""One partition of one table in RocksDB: a cache of its changelog that knows how far it has come.

Promises: values and the changelog position change together, so the store is never ahead of or torn against its changelog.
What is put waits in memory until it is much, so that RocksDB is given once what was put again and again, and goes there in
one atomic batch with its position. Memory is bounded by the cache and the room it is given, however many stores there are.
A store that nobody has written for longer than a changelog keeps what says that a key is gone begins anew: it could not
hear of it any more. What cannot be read or written is a StoreError, which is no fault of whatever asked for it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from isthmus.config.errors import IsthmusError
from isthmus.tables.unit import Table

POSITION = b"\xff\xffposition"
# Of a store, what is newest: it is written again and again, so it is not compressed.
YOUNG_BYTES = 64 << 20
LEVELS = 7
# What is put and in no file yet: of all stores of a worker, and of one. A third of a store's room is for what waits, the
# others for the batch that it goes in and for what RocksDB brings to a file, whose buffers are not smaller than this.
ROOM_BYTES, SMALLEST_ROOM, LARGEST_ROOM = 1 << 30, 192 << 10, 96 << 20
THIRDS, SMALLEST_BUFFER, BUFFERS = 3, 64 << 10, 2
# What a key that waits costs besides its value, roughly.
KEY_BYTES = 150
# RocksDB spreads its open files over 64 shards, in which so few would drive each other out at every read.
OPEN_FILES, SHARD_BITS = 256, 2
# Half of how long a changelog keeps a deletion (node/topics.py).
STALE_SECONDS = 12 * 3600.0


class StoreError(IsthmusError):
    """RocksDB cannot read what it holds, or write any more."""

    code = "STORE"
    hint = (
        "look at the disk, which may be full; where files are damaged delete this worker's data folder: it is read from "
        "Kafka again"
    )


def shared_cache(size: int) -> Cache:
    """A block cache of `size` bytes that all stores of a worker share."""
    return Cache(size)


def rooms(tables: Iterable[Table[Any]], partitions: int) -> dict[str, int]:
    """The room of each table's stores, should all partitions come to be ours; for values that are kept as bytes, which are
    large, twice as much as for others."""
    weights = {table.name: 2 if table.as_bytes else 1 for table in tables}
    share = ROOM_BYTES // (partitions * sum(weights.values()))
    return {name: min(LARGEST_ROOM, max(SMALLEST_ROOM, weight * share)) for name, weight in weights.items()}


def _options(cache: Cache, buffer: int) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(buffer)
    options.set_max_write_buffer_number(BUFFERS)
    options.set_level_zero_file_num_compaction_trigger(8)
    options.set_max_open_files(OPEN_FILES)
    options.set_table_cache_num_shard_bits(SHARD_BITS)
    plain, packed = DBCompressionType.none(), DBCompressionType.lz4()
    options.set_compression_per_level([plain, plain] + [packed] * (LEVELS - 2))
    options.set_max_bytes_for_level_base(YOUNG_BYTES)
    blocks = BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_bloom_filter(10, block_based=False)
    # Of millions of records they are as large as what they save reading, so they count as memory like the rest.
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options.set_block_based_table_factory(blocks)
    return options


def _opened(path: Path, cache: Cache, buffer: int) -> Rdict:
    path.mkdir(parents=True, exist_ok=True)
    database = Rdict(str(path), options=_options(cache, buffer), access_type=AccessType.read_write())
    # No log of its own: what a crash takes from memory, position included, is read from the changelog again.
    unlogged = WriteOptions()
    unlogged.disable_wal = True
    database.set_write_options(unlogged)
    return database


def _written(database: Rdict) -> tuple[int | None, float]:
    """The changelog position, and when it was written (seconds since 1970); None for a store without any."""
    position, _, when = (database.get(POSITION) or b"").partition(b" ")
    return (int(position), float(when or 0)) if position else (None, 0.0)


class Store:
    """Keys and values are bytes; `position` is the offset of the last changelog record that the store holds. `room`: how
    many bytes may be in no file yet."""

    def __init__(self, path: Path, cache: Cache, stale_after: float = STALE_SECONDS, room: int = LARGEST_ROOM) -> None:
        buffer = max(SMALLEST_BUFFER, room // THIRDS)
        self._db = _opened(path, cache, buffer)
        position, written = _written(self._db)
        if position is not None and time.time() - written > stale_after:
            self._db.close()
            shutil.rmtree(path)
            self._db, position = _opened(path, cache, buffer), None
        self.position: int | None = position
        self._applied = written
        self._limit = self._left = buffer
        self._waiting: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, None where there is none."""
        if key in self._waiting:
            return self._waiting[key]
        try:
            value: bytes | None = self._db.get(key)
        except Exception as fault:
            raise StoreError(repr(fault)) from fault
        return value

    def apply(self, puts: Mapping[bytes, bytes | None], position: int) -> None:
        """Put (None deletes) and remember the changelog position, all or nothing."""
        self._waiting.update(puts)
        self.position, self._applied = position, time.time()
        self._left -= KEY_BYTES * (1 + len(puts)) + sum(map(len, filter(None, puts.values())))
        if self._left <= 0:
            self._write(much=True)

    def _write(self, *, much: bool = False) -> None:
        """Give RocksDB what waits. The time beside the position is when it was put, however long it has waited."""
        if self._left == self._limit:
            return
        batch = WriteBatch(raw_mode=True)
        for key, value in self._waiting.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(POSITION, f"{self.position} {self._applied:.0f}".encode())
        try:
            self._db.write(batch)
            if much:  # by itself RocksDB would begin to bring it to a file with the next one, and hold both until then
                self._db.flush(False)
        except Exception as fault:
            raise StoreError(repr(fault)) from fault
        self._waiting, self._left = {}, self._limit

    def scan(self, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Keys that begin with `prefix`, from `start` on, in order, with their values."""
        self._write()
        for key, value in self._items(max(prefix, start)):
            if not key.startswith(prefix):
                return
            if key != POSITION:
                yield key, value

    def _items(self, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        try:
            yield from self._db.items(from_key=start)
        except Exception as fault:
            raise StoreError(repr(fault)) from fault

    def close(self) -> None:
        """Give the files back, so that another worker of this host may open them."""
        try:
            self._write()
            self._db.flush()
        finally:
            self._db.close()
