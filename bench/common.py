"""What the contenders share around the work: the command line, the measuring, their topics and folders."""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

COMPACTED = {"cleanup.policy": "compact"}


@dataclass(frozen=True, slots=True)
class Options:
    """What a contender is told. `total` counts duplicates; the first `warmup` changes are not measured."""

    bootstrap: str
    topic: str
    run: str
    total: int
    warmup: int

    def name(self, contender: str) -> str:
        """The contender's own name in this run: its consumer group or application id."""
        return f"{self.topic}-{contender}-{self.run}"

    def out(self, contender: str) -> str:
        """The topic of the contender's events."""
        return f"{self.topic}-out-{contender}-{self.run}"


def parser(what: str | None) -> argparse.ArgumentParser:
    """The command line that every contender has."""
    made = argparse.ArgumentParser(description=what)
    for name in ("bootstrap", "topic", "run"):
        made.add_argument(f"--{name}", required=True)
    made.add_argument("--total", type=int, required=True)
    made.add_argument("--warmup", type=int, default=0)
    return made


def options(what: str | None) -> Options:
    """What the command line says."""
    return Options(**vars(parser(what).parse_args()))


def cpu_seconds() -> float:
    """User and system time of this process, all its threads, so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@dataclass
class Meter:
    """Counts changes and events; measures from the first moment at which the warm-up is over."""

    total: int
    warmup: int
    done: int = 0
    events: int = 0
    begun: int = 0
    cpu: float = field(default_factory=cpu_seconds)
    wall: float = field(default_factory=time.monotonic)

    def processed(self, count: int, events: int) -> bool:
        """Note so many more changes and events. Were these the last? That is said once, whatever comes after them."""
        warm, open_ = self.done < self.warmup, self.done < self.total
        self.done += count
        self.events += events
        if warm and self.done >= self.warmup:
            self.begun, self.cpu, self.wall = self.done, cpu_seconds(), time.monotonic()
        return open_ and self.done >= self.total

    def report(self, contender: str) -> None:
        """Print the figures. Only after the last event was flushed."""
        cpu, wall = cpu_seconds() - self.cpu, time.monotonic() - self.wall
        figures = {"contender": contender, "changes": self.done - self.begun, "cpu_seconds": round(cpu, 3)}
        print(json.dumps({**figures, "seconds": round(wall, 3), "events": self.events}), flush=True)


def create_topic(bootstrap: str, topic: str, partitions: int, config: dict[str, str] | None = None) -> None:
    """Create the topic and wait until it is there."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, partitions, config=config or {})])[topic].result(30)


def partitions_of(bootstrap: str, topic: str) -> int:
    """How many partitions the topic has."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    found = admin.list_topics(topic, timeout=30).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return len(found.partitions)


def create_output(chosen: Options, contender: str) -> int:
    """Create the topic of the contender's events, with as many partitions as the input has; tells how many."""
    count = partitions_of(chosen.bootstrap, chosen.topic)
    create_topic(chosen.bootstrap, chosen.out(contender), count)
    return count


@contextlib.contextmanager
def data_folder() -> Iterator[Path]:
    """A folder for a contender's state, gone afterwards, after SIGTERM too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield folder
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        shutil.rmtree(folder, ignore_errors=True)


def machine(python: str = platform.python_version()) -> str:
    """Processor, cores, and the version of the Python that is measured in."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    cores = sum(line.startswith("processor") for line in lines)
    return f"{model}, {cores} cores, Python {python}"
