"""What a read and a write of a golden record cost in RocksDB, its own threads included: no Kafka and no fold.

Four stores of one worker, filled with so many golden records (`state.py`), then records taken at random are read and
written back, a unit's at a time. Ends with one JSON line: CPU microseconds a record that is filled in and of each round's
reads with writes, and the bytes on disk.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from state import records

from isthmus.tables.store import Store, shared_cache

STORES = 4
A_UNIT = 2000
CACHE_BYTES = 256 << 20
Puts = dict[bytes, bytes | None]


def fill(stores: Sequence[Store], count: int) -> list[bytes]:
    """Write so many records; their keys."""
    keys: list[bytes] = []
    coming = records(count)
    while some := list(islice(coming, A_UNIT)):
        apply(stores, ((len(keys) + at, key, value) for at, (key, value) in enumerate(some)))
        keys += [key for key, _ in some]
    return keys


def apply(stores: Sequence[Store], numbered: Iterator[tuple[int, bytes, bytes]]) -> None:
    """One unit of work in each store."""
    puts: list[Puts] = [{} for _ in stores]
    for number, key, value in numbered:
        puts[number % STORES][key] = value
    for store, some in zip(stores, puts, strict=True):
        store.apply(some, 0)


def turn(stores: Sequence[Store], keys: Sequence[bytes], count: int, rng: random.Random) -> float:
    """Read and write so many records; CPU microseconds for one."""
    began = time.process_time()
    for _ in range(count // A_UNIT):
        chosen = [(number, keys[number]) for number in (rng.randrange(len(keys)) for _ in range(A_UNIT))]
        apply(stores, ((number, key, (stores[number % STORES].get(key) or b"") + b" ") for number, key in chosen))
    return (time.process_time() - began) / count * 1e6


def main() -> None:
    """`python bench/store.py [--records N] [--changes N] [--rounds N]`"""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("records", 600_000), ("changes", 60_000), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    chosen = parser.parse_args()
    rng, cache = random.Random(1), shared_cache(CACHE_BYTES)
    with tempfile.TemporaryDirectory(prefix="store-") as folder:
        stores = [Store(Path(folder) / str(number), cache) for number in range(STORES)]
        began = time.process_time()
        keys = fill(stores, chosen.records)
        filled = (time.process_time() - began) / chosen.records * 1e6
        rounds = [round(turn(stores, keys, chosen.changes, rng), 1) for _ in range(chosen.rounds)]
        disk = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        print(json.dumps({"fill": round(filled, 1), "rounds": rounds, "disk_bytes": disk}), flush=True)
        for store in stores:
            store.close()


if __name__ == "__main__":
    main()
