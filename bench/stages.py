"""One worker of Isthmus over recorded frames, with all stages or with one, measured after its warm-up.

A single stage reads what a whole run left on its topics, and keeps state of its own. Ends with one JSON line: changes,
cpu_seconds and seconds between the unit of work that passes the warm-up and the one that passes the total.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop
from common import Meter, data_folder, parser

from isthmus.agents import identify, intake, merge
from isthmus.config.mapping import load_mappings
from isthmus.node.app import end_process
from isthmus.node.runtime import Runtime
from isthmus.node.topics import Topics, create
from isthmus.node.transport import App
from isthmus.node.worker import calm_the_collector
from isthmus.tables.stage import Batch, Stage
from isthmus.tables.unit import Unit

WHOLE = "whole"


@dataclass(frozen=True)
class Recorded(Topics):
    """Inputs from the recording, all else under a name of its own."""

    recording: str = ""
    inputs: tuple[str, ...] = ()

    def topic(self, name: str) -> str:
        """A topic's full name."""
        return f"{self.recording}{name}" if name in self.inputs else super().topic(name)


class Watch:
    """Counts what the last stage does; reports when all of it is done and the unit with the last change is durable."""

    def __init__(self, name: str, meter: Meter) -> None:
        self.done = asyncio.Event()
        self._name, self._meter, self._all = name, meter, False

    def over(self, stage: Stage) -> Stage:
        """The stage, counted."""

        def fold(unit: Unit, batches: Sequence[Batch]) -> None:
            before = len(unit.records)
            stage.fold(unit, batches)
            changes = sum(len(batch.elements) for batch in batches if batch.topic != "links")
            self._all |= self._meter.processed(changes, len(unit.records) - before)

        return dataclasses.replace(stage, fold=fold)

    def at(self, step: str) -> None:
        """A step of some unit of work."""
        if self._all and step == "applied" and not self.done.is_set():
            self._meter.report(self._name)
            self.done.set()


async def run(bootstrap: str, topics: Topics, stages: Sequence[Stage], data: Path, watch: Watch) -> None:
    """Until all changes are done, or SIGTERM."""
    # Not a handler that raises: that may strike between any two steps of a lane, which then ends as in doubt.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, watch.done.set)
    app = App(
        f"{topics.namespace}bench",
        broker=f"kafka://{bootstrap}",
        store="memory://",
        datadir=str(data),
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        stream_buffer_maxsize=8,
        table_standby_replicas=1,
    )
    runtime = Runtime(app, topics, bootstrap, data, end_process, at=watch.at)
    for stage in stages:
        runtime.add(stage)
    await create(bootstrap, topics.declared(stages, ["events.account", "dead", "identify", "links", "merge"]))
    async with app:
        calm_the_collector()
        watching = asyncio.create_task(runtime.watch(), name="watch")
        await watch.done.wait()
        watching.cancel()
        await runtime.stop()


def stages(name: str, watch: Watch) -> list[Stage]:
    """All three, or one; the last one is counted. One system, as the other contenders have it."""
    mappings = load_mappings().joining(["salesforce"])
    every = [intake.stage(["salesforce"], mappings, {}), identify.stage(mappings), merge.stage(mappings)]
    wanted = every if name == WHOLE else [stage for stage in every if stage.name == name]
    return [*wanted[:-1], watch.over(wanted[-1])]


def main() -> None:
    """The command."""
    made = parser(__doc__)
    made.add_argument("--stage", choices=(WHOLE, "intake", "identify", "merge"), default=WHOLE)
    made.add_argument("--partitions", type=int, default=4)
    chosen = made.parse_args()
    watch = Watch(chosen.stage, Meter(chosen.total, chosen.warmup))
    wanted = stages(chosen.stage, watch)
    inputs = ("changes.salesforce",) if chosen.stage == WHOLE else wanted[0].topics
    topics = Recorded(chosen.run, chosen.partitions, recording=chosen.topic, inputs=inputs)
    with data_folder() as data:
        uvloop.run(run(chosen.bootstrap, topics, wanted, data, watch))
    os._exit(0)  # Faust's threads take their time, and nothing is left to do


if __name__ == "__main__":
    main()
