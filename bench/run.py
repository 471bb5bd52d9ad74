"""The benchmark: `make bench`. Isthmus and its peers do the same work on the same changes, in turns, in one run.

Promises: every contender runs long enough to be warm before it is measured; the figures are medians of several rounds;
the last line is one JSON object, and docs/performance.md's table and plot are made of it (bench/pages.py).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from changes import expected, prepare
from common import machine
from confluent_kafka import Consumer, TopicPartition
from frames import prepare_frames
from pages import write_pages
from pythons import NAME, environment, quickest, version
from quix import packages
from rich.console import Console

from isthmus.node.broker import running_kafka
from isthmus.node.form import COMPILED, form

HERE = Path(__file__).parent
STAGES = ("intake", "identify", "merge")
PATIENCE = 600
PER_RECORD = 10
JVM_WARMUP = 3
screen = Console(stderr=True)


@dataclass
class Run:
    """One benchmark: its sizes, and the figures so far by contender."""

    bootstrap: str
    total: int
    warmup: int
    rounds: int
    python: str
    cpu: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    speed: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def measure(self, name: str, script: str, *arguments: str, total: int, warmup: int) -> None:
        """Run a contender and note its figures."""
        words = [f"--total={total}", f"--warmup={warmup}", f"--bootstrap={self.bootstrap}", *arguments]
        held = environment(*([packages()] if name == "quix" else []))
        done = subprocess.run(
            [self.python, str(HERE / script), *words], capture_output=True, text=True, timeout=PATIENCE, env=held
        )
        if done.returncode:
            screen.print(f"{name}: {done.stderr.strip().splitlines()[-1:] or done.returncode}", markup=False)
            return
        said = json.loads(done.stdout.strip().splitlines()[-1])
        self.cpu[name].append(said["cpu_seconds"] / said["changes"] * 1e6)
        self.speed[name].append(said["changes"] / said["seconds"])
        screen.print(f"{name:14} {self.cpu[name][-1]:7.1f} µs a change {self.speed[name][-1]:9.0f} changes/s")


def peers(run: Run, number: int) -> None:
    """The others, one after another, each warm."""
    measured = run.total - run.warmup
    for name, topic, total, warmup in (
        ("floor", "changes", run.total, run.warmup),
        ("quix", "changes", run.total, run.warmup),
        ("kafka_streams", "changes-long", run.warmup * JVM_WARMUP + measured, run.warmup * JVM_WARMUP),
        ("plain_faust", "changes", (run.warmup + measured) // 8, run.warmup // 8),
    ):
        run.measure(name, f"{name}.py", f"--topic={topic}", f"--run={number}", total=total, warmup=warmup)


def ours(run: Run, number: int, accepted: int) -> None:
    """The whole way in one worker, then each stage alone over what the whole run recorded."""
    namespace = f"ours{number}-"
    prepare_frames(run.bootstrap, f"{namespace}changes.salesforce", run.total, run.total // PER_RECORD)
    topic = f"--topic={namespace}"
    run.measure("whole", "stages.py", topic, f"--run={namespace}", total=accepted, warmup=run.warmup)
    unknown = elements(run.bootstrap, f"{namespace}identify")
    sizes = {"intake": (run.total, run.warmup), "identify": (unknown, unknown // 2), "merge": (accepted, run.warmup)}
    for stage, (total, warmup) in sizes.items():
        arguments = (topic, f"--run={namespace}{stage}-", f"--stage={stage}")
        run.measure(stage, "stages.py", *arguments, total=total, warmup=warmup)


def elements(bootstrap: str, topic: str) -> int:
    """How many elements the committed frames of a topic hold."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "bench", "isolation.level": "read_committed"}
    consumer = Consumer({**settings, "enable.partition.eof": True, "auto.offset.reset": "earliest"})
    partitions = list(consumer.list_topics(topic, 30).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    total, open_ = 0, len(partitions)
    while open_:
        for message in consumer.consume(500, 10):
            if message.error() is not None:
                open_ -= 1
            else:
                total += len(json.loads(message.value()))
    consumer.close()
    return total


def summary(run: Run) -> dict[str, Any]:
    """The medians, and what they come to."""
    cpu = {name: round(statistics.median(values), 1) for name, values in run.cpu.items()}
    speed = {name: round(statistics.median(values)) for name, values in run.speed.items()}
    worst = max(cpu[stage] for stage in STAGES)
    return {
        "cpu_us_per_change": cpu,
        "changes_per_second": speed,
        "ratio_to_floor": round(worst / cpu["floor"], 2),
        "times_plain_faust": round(cpu["plain_faust"] / worst, 1) if "plain_faust" in cpu else None,
        "rounds": run.rounds,
        "changes": run.total - run.warmup,
        "compiled": form() == COMPILED,
        "machine": machine(version(run.python)),
        "date": time.strftime("%Y-%m-%d"),
    }


def rounds(options: argparse.Namespace) -> Iterator[Run]:
    """The run, after each of its rounds."""
    total = options.warmup + options.changes
    with running_kafka() as bootstrap:
        run = Run(bootstrap, total, options.warmup, options.rounds, options.python or quickest())
        screen.print(f"measured in {run.python}", markup=False)
        screen.print(f"{total} changes are being prepared")
        prepare(bootstrap, "changes", total, total // PER_RECORD)
        long = options.warmup * JVM_WARMUP + options.changes
        prepare(bootstrap, "changes-long", long, long // PER_RECORD)
        accepted = expected(total, total // PER_RECORD)
        for number in range(options.rounds):
            screen.print(f"round {number + 1} of {options.rounds}")
            ours(run, number, accepted)
            peers(run, number)
            yield run


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=200_000, help="measured, after the warm-up")
    parser.add_argument("--warmup", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", help=f"what all contenders run in: a {NAME}; the quickest where none is named")
    parser.add_argument("--no-pages", action="store_true", help="leave docs/performance.md as it is")
    options = parser.parse_args()
    for run in rounds(options):
        found = summary(run)
    if not options.no_pages:
        write_pages(found)
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
