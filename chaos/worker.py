"""A worker of the node under trial: the node's own wiring over two feeds, or over the platforms that its settings name,
obeying the harness's orders.

Run as `python -m chaos.worker`, settings in ISTHMUS_* as always, CHAOS_RUN the run's folder, CHAOS_OWN the worker's.
Promises: dies by SIGKILL, or stands still by SIGSTOP, at the ordered step, the ordered time it comes by; on SIGTERM and
on doubt behaves as a worker that people run. Its clock is wrong by what is ordered: `time.time` is replaced before
anything else is imported.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

true_time = time.time
clock_offset = 0.0
time.time = lambda: true_time() + clock_offset

import uvloop  # noqa: E402

from chaos.feed import Feed  # noqa: E402
from chaos.generator import MAPPINGS, SYSTEMS, deliveries  # noqa: E402
from chaos.orders import Orders, gate, heard  # noqa: E402
from isthmus.config.load import load_settings  # noqa: E402
from isthmus.config.settings import Settings  # noqa: E402
from isthmus.node.app import create_app  # noqa: E402
from isthmus.node.systems import open_systems  # noqa: E402
from isthmus.node.worker import calm_the_collector, exit_code  # noqa: E402
from isthmus.systems.protocol import System  # noqa: E402

RUN, OWN = Path(os.environ["CHAOS_RUN"]), Path(os.environ["CHAOS_OWN"])


class Obedience:
    """Carries orders out; `at` is the node's hook for the steps of its units of work."""

    def __init__(self) -> None:
        self._orders = Orders()
        self._left = 0

    def hear(self, *, kill: bool) -> None:
        """Read the orders; a kill counts from now on."""
        global clock_offset
        self._orders = heard(OWN)
        self._left = self._orders.nth if kill else 0
        clock_offset = self._orders.clock

    def pause(self) -> float:
        """How long a write takes."""
        return self._orders.pause

    def at(self, step: str) -> None:
        """A unit of work is here."""
        if self._left and step == self._orders.step:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGSTOP if self._orders.hold else signal.SIGKILL)


async def serve() -> int:
    """Run as node/worker.py does; the exit code."""
    obedience, stop = Obedience(), asyncio.Event()
    obedience.hear(kill=False)
    settings = load_settings()
    node = create_app(settings, MAPPINGS, _systems(settings, obedience), at=obedience.at)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, lambda: obedience.hear(kill=True))
    for ending in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ending, stop.set)
    async with node.app:
        calm_the_collector()
        alone = asyncio.create_task(_end_with(os.getppid()))
        asked, ended = asyncio.create_task(stop.wait()), asyncio.create_task(node.app.wait_until_stopped())
        await asyncio.wait({asked, ended}, return_when=asyncio.FIRST_COMPLETED)
        for task in (alone, asked, ended):
            task.cancel()
    return exit_code(stop.is_set(), node.app.crash_reason)


async def _end_with(harness: int) -> None:
    """Nobody looks after a worker whose harness was killed."""
    while os.getppid() == harness:
        await asyncio.sleep(1.0)
    os._exit(1)


def _systems(settings: Settings, obedience: Obedience) -> Sequence[System]:
    if "CHAOS_SEED" not in os.environ:
        return open_systems(settings, MAPPINGS)
    seed, number = int(os.environ["CHAOS_SEED"]), int(os.environ["CHAOS_EACH"])
    return [Feed(deliveries(name, seed, number), lambda: gate(RUN), obedience.pause) for name in SYSTEMS]


def main() -> int:
    """The exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve())


if __name__ == "__main__":
    sys.exit(main())
