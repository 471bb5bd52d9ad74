"""Growth: `make bench-growth`. What more partitions, more workers and more state do to a node.

Promises: at each size of state it fills the golden records' changelog, measures how long a wiped worker and a standby take
to have it, then the merge stage over changes of records taken at random; and the whole way with so many partitions and
workers. The last line is one JSON object, and the tables and plot of docs/growth.md are made of it (bench/pages.py).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from changes import expected
from common import machine
from confluent_kafka import Consumer
from frames import prepare_frames
from pages import write_growth
from rich.console import Console
from rich.progress import Progress
from state import Filler

from isthmus.agents import merge
from isthmus.config.mapping import load_mappings
from isthmus.node.broker import running_kafka
from isthmus.node.form import COMPILED, form
from isthmus.node.topics import Topics, create

HERE = Path(__file__).parent
PARTITIONS = 4
BEHIND = 1000
# Of partitions and workers, as a multiple of what is worked on for a size of state: two workers are through in no time.
LONGER = 5
PATIENCE = 3600
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
screen = Console(stderr=True)
Figures = dict[str, Any]


# -- state


def state(bootstrap: str, keys: int, total: int, warmup: int) -> Figures:
    """A node that knows so many records: recovery, and merge."""
    topics = Topics(f"state{keys}-", PARTITIONS)
    stage = merge.stage(load_mappings())
    asyncio.run(create(bootstrap, topics.declared([stage], ["events.account", "dead"])))
    changelog, filler = topics.changelog("golden"), Filler(bootstrap)
    with Progress(console=screen, transient=True) as progress:
        bar = progress.add_task(f"{keys:,} golden records", total=keys)
        for done in filler.changelog(changelog, PARTITIONS, keys):
            progress.update(bar, completed=done)
    filler.merge(topics.topic("merge"), PARTITIONS, keys, total)
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        where = (f"--bootstrap={bootstrap}", f"--topic={changelog}", f"--folder={folder}", f"--partitions={PARTITIONS}")
        wiped = said("recovering.py", *where)
        standby = said("recovering.py", *where, f"--behind={BEHIND}")
    names = (f"--bootstrap={bootstrap}", f"--topic={topics.namespace}", f"--run={topics.namespace}")
    worked = said("stages.py", *names, "--stage=merge", f"--total={total}", f"--warmup={warmup}")
    found = {
        "keys": keys,
        "wiped_seconds": wiped["seconds"],
        "standby_seconds": standby["seconds"],
        "disk_bytes": wiped["disk_bytes"],
        "memory_bytes": wiped["memory_bytes"],
        "cpu_us_per_change": round(worked["cpu_seconds"] / worked["changes"] * 1e6, 1),
        "changes_per_second": round(worked["changes"] / worked["seconds"]),
    }
    screen.print(found)
    return found


def said(script: str, *words: str) -> Figures:
    """The last line of a measurement in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(HERE / script), *words], capture_output=True, text=True, timeout=PATIENCE
    )
    if done.returncode:
        raise SystemExit(f"{script} ended with {done.returncode}: {done.stderr[-2000:]}")
    told: Figures = json.loads(done.stdout.strip().splitlines()[-1])
    return told


# -- partitions and workers


def spread(bootstrap: str, partitions: int, workers: int, total: int) -> Figures:
    """The whole way, with so many partitions and workers: changes a second and CPU over the later part of the changes."""
    namespace = f"spread{partitions}x{workers}-"
    prepare_frames(bootstrap, f"{namespace}changes.salesforce", total, total // 10, partitions)
    accepted = expected(total, total // 10)
    with _workers(bootstrap, namespace, partitions, workers) as running:
        events = _events(bootstrap, f"{namespace}events.account")
        begun = _heard(events, accepted // 3, running)
        cpu, wall = _cpu(running), time.monotonic()
        # What is overtaken in all its fields while its record is being linked leaves no event.
        ended = _heard(events, accepted * 7 // 10, running, begun)
        cpu, wall = _cpu(running) - cpu, time.monotonic() - wall
        events.close()
    found = {
        "partitions": partitions,
        "workers": workers,
        "cpu_us_per_change": round(cpu / (ended - begun) * 1e6, 1),
        "changes_per_second": round((ended - begun) / wall),
    }
    screen.print(found)
    return found


@contextlib.contextmanager
def _workers(
    bootstrap: str, namespace: str, partitions: int, workers: int
) -> Iterator[Sequence[subprocess.Popen[bytes]]]:
    words = [f"--bootstrap={bootstrap}", f"--topic={namespace}", f"--run={namespace}", f"--partitions={partitions}"]
    command = [sys.executable, str(HERE / "stages.py"), *words, f"--total={10**12}"]
    running = [subprocess.Popen(command) for _ in range(workers)]
    try:
        yield running
    finally:
        for one in running:
            one.terminate()
        for one in running:
            one.wait(30)


def _events(bootstrap: str, topic: str) -> Consumer:
    settings = {"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest"}
    consumer = Consumer({**settings, "isolation.level": "read_committed", "topic.metadata.refresh.interval.ms": 500})
    consumer.subscribe([topic])
    return consumer


def _heard(events: Consumer, wanted: int, running: Sequence[subprocess.Popen[bytes]], heard: int = 0) -> int:
    """Read until so many events were heard in all."""
    begun = time.monotonic()
    while heard < wanted:
        heard += sum(message.error() is None for message in events.consume(1000, 0.5))
        if any(one.poll() is not None for one in running):
            raise SystemExit("a worker ended: its words stand above")
        if time.monotonic() - begun > PATIENCE:
            raise SystemExit(f"only {heard} of {wanted} events came")
    return heard


def _cpu(running: Sequence[subprocess.Popen[bytes]]) -> float:
    """User and system time of these processes so far, in seconds."""
    told = [Path(f"/proc/{one.pid}/stat").read_text().rpartition(")")[2].split() for one in running]
    return sum(int(fields[11]) + int(fields[12]) for fields in told) / TICKS_A_SECOND


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", default="10000,1000000,10000000", help="sizes of state, comma-separated")
    parser.add_argument("--partitions", default="1,2,4")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--changes", type=int, default=80_000, help="for each size of state")
    parser.add_argument("--no-pages", action="store_true", help="leave docs/growth.md as it is")
    asked = parser.parse_args()
    spreads, states = [], []
    with running_kafka() as bootstrap:
        for partitions in map(int, asked.partitions.split(",")):
            for workers in map(int, asked.workers.split(",")):
                spreads.append(spread(bootstrap, partitions, workers, LONGER * asked.changes))
    for keys in map(int, asked.keys.split(",")):
        with running_kafka() as bootstrap:
            states.append(state(bootstrap, keys, asked.changes, asked.changes // 4))
    found = {"spread": spreads, "state": states, "compiled": form() == COMPILED, "machine": machine()}
    found["date"] = time.strftime("%Y-%m-%d")
    if not asked.no_pages:
        write_growth(found)
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
