"""How long a worker takes to have its state again: one measurement over a changelog that is filled, in its own process.

The folder is a worker's disk: empty, because it was wiped; or what it kept, which is a standby's copy as well, with the
last `--behind` records missing. Ends with one JSON line: seconds, the records applied, bytes of disk, and the largest
memory of the process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import time
from collections.abc import Mapping
from pathlib import Path

from state import Filler

from isthmus.node.recovery import recover
from isthmus.tables.store import Store, shared_cache

CACHE_BYTES = 256 << 20


async def timed(bootstrap: str, logs: Mapping[tuple[str, int], Path]) -> dict[str, float]:
    """Seconds and records of a recovery."""
    begun = time.monotonic()
    cache = shared_cache(CACHE_BYTES)
    stores = {where: Store(path, cache) for where, path in logs.items()}
    applied = await recover(bootstrap, stores)
    took = time.monotonic() - begun
    for store in stores.values():
        store.close()
    return {"seconds": round(took, 2), "records": applied}


def disk(folder: Path) -> int:
    """Bytes below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bootstrap", "topic"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--behind", type=int, default=0)
    asked = parser.parse_args()
    logs = {(asked.topic, number): asked.folder / str(number) for number in range(asked.partitions)}
    if asked.behind:
        list(Filler(asked.bootstrap).changelog(asked.topic, asked.partitions, asked.behind))
    told = asyncio.run(timed(asked.bootstrap, logs))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({**told, "disk_bytes": disk(asked.folder), "memory_bytes": memory}), flush=True)


if __name__ == "__main__":
    main()
