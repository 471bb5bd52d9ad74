"""A worker with two tiny stages, run as a process of its own so that a test can kill it: numbers in, counts out."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import orjson

from isthmus.codecs.frames import Elements
from isthmus.node.runtime import Runtime
from isthmus.node.topics import Topics, create
from isthmus.node.transport import App
from isthmus.tables.stage import Batch, Input, Pen, Stage
from isthmus.tables.unit import Record, Table, Unit

KEYS, PER_UNIT = 500, 40
POSITION: Table[int] = Table("position", int)
COUNTS: Table[int] = Table("counts", int)


def source(total: int) -> Stage:
    """Sends the numbers below `total`, each once, position and frames in one unit."""

    async def run(pen: Pen) -> None:
        if pen.partition != 0:
            return
        while (done := int(pen.view(POSITION.name).get(b"n") or 0)) < total:
            upto = min(done + PER_UNIT, total)

            def work(unit: Unit, begin: int = done, end: int = upto) -> None:
                for number in range(begin, end):
                    unit.send("numbers", str(number % KEYS).encode(), number)
                unit.put(POSITION, b"n", end)

            await pen.commit(work)

    return Stage("source", (Input("sources", None),), (POSITION,), lambda unit, batches: None, bury, source=run)


def bury(unit: Unit, raw: bytes, fault: Exception) -> None:
    """Nothing is expected to be buried."""
    raise fault


def count(unit: Unit, batches: Sequence[Batch]) -> None:
    """Counts how often each key was seen and publishes one event a number."""
    for number in (number for batch in batches for number in batch.elements):
        key = str(number % KEYS).encode()
        seen = (unit.get(COUNTS, key) or 0) + 1
        unit.put(COUNTS, key, seen)
        unit.publish(Record("events", key, orjson.dumps([number, seen]), []))
        unit.count("toy", "number", "applied")


def end(fault: BaseException) -> None:
    """Never go on in doubt."""
    traceback.print_exception(fault)
    os._exit(70)


async def main(bootstrap: str, namespace: str, data: Path, total: int, instance: str, at_once: bool) -> None:
    """Runs until every number was counted here (or it is killed or stopped), then says so and exits; `at_once`: may the
    counting be done in the source's transactions?"""
    app = App(
        f"{namespace}app",
        broker=f"kafka://{bootstrap}",
        store="memory://",
        datadir=str(data),
        web_enabled=False,
        consumer_group_instance_id=instance,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=10.0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        table_standby_replicas=1,
    )
    topics = Topics(namespace, 4)
    runtime = Runtime(app, topics, bootstrap, data, end, standby=True)
    runtime.add(source(total))
    runtime.add(Stage("count", (Input("numbers", Elements(int)),), (COUNTS,), count, bury, at_once=at_once))
    await create(bootstrap, topics.declared(runtime.stages.values(), ["events"]))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with app:
        while counted(runtime) < total and not stop.is_set():
            await asyncio.sleep(0.05)
        await runtime.stop()
    print("done", flush=True)


def counted(runtime: Runtime) -> int:
    """How many numbers this worker's markers hold."""
    return sum(lane.marker.counts.get("toy/number", {}).get("applied", 0) for lane in runtime.lanes.values())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5], "at-once" in sys.argv))
