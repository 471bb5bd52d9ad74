"""The other form of the trial: a business day at both simulators over HTTP, its worker and its Kafka killed meanwhile.

Promises: the worker is the one that people run; in the end both systems and the golden records agree, the books balance,
and the events are what a replay of merge's input publishes, each once. The faults follow from the seed, and each is made
when its share of the wishes has been done.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import signal
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.broker import Broker
from chaos.plan import Plan
from chaos.proof import Findings, events
from chaos.run import Say
from isthmus.node.demo import Progress, Theatre, play, theatre, verdict

WISHES = 6  # a day of size n has so many times n
WEIGHTS = {"kill_random": 6, "sigterm": 1, "broker_killed": 1}


@dataclass
class Trial:
    """A day under way."""

    stage: Theatre
    broker: Broker | None
    chance: random.Random
    progress: Progress = field(default_factory=Progress)
    made: Counter[str] = field(default_factory=Counter)
    restarts: list[float] = field(default_factory=list)

    async def kill_random(self) -> None:
        """Kill -9, and time until it is ready again."""
        begun = time.monotonic()
        await self.stage.worker.kill()
        await self.stage.worker.start()
        await self.stage.worker.ready()
        self.restarts.append(time.monotonic() - begun)

    async def sigterm(self) -> None:
        """End in order, and come back."""
        await self.stage.worker.kill(signal.SIGTERM)
        await self.stage.worker.start()

    async def broker_killed(self) -> None:
        """Kafka is killed -9 and comes back."""
        if self.broker is not None:
            await self.broker.kill()
            await self.broker.start()


async def play_out(plan: Plan, folder: Path, say: Say) -> dict[str, Any]:
    """The whole day; its JSON."""
    broker = None if plan.kafka else Broker(folder / "kafka")
    if broker is not None:
        await broker.start()
    try:
        bootstrap = plan.kafka or (broker.bootstrap if broker else "")
        namespace = f"chaos-{secrets.token_hex(3)}."
        async with theatre(folder, bootstrap=bootstrap, namespace=namespace, seed=plan.seed) as stage:
            trial = Trial(stage, broker, random.Random(plan.seed))
            await _day(trial, plan, say)
            say("the day is over; looking at everything")
            return told(trial, plan, await _judged(trial))
    finally:
        if broker is not None:
            await broker.stop()


async def _day(trial: Trial, plan: Plan, say: Say) -> None:
    size = max(1, plan.changes // WISHES)
    faults = asyncio.create_task(_faults(trial, plan, size * WISHES, say))
    try:
        await play(trial.stage, trial.progress, seed=plan.seed, size=size, pause=10 / plan.rate)
        await faults
    finally:
        faults.cancel()


async def _faults(trial: Trial, plan: Plan, wishes: int, say: Say) -> None:
    known = [name for name in WEIGHTS if name != "broker_killed" or trial.broker is not None]
    for number in range(plan.kills):
        while trial.progress.wishes < wishes * (number + 1) / (plan.kills + 1):
            await asyncio.sleep(0.02)
        name = trial.chance.choices(known, [WEIGHTS[one] for one in known])[0]
        say(f"{number + 1}/{plan.kills} {name}  ({trial.progress.wishes} wishes)")
        fault: Callable[[], Awaitable[None]] = getattr(trial, name)
        await fault()
        trial.made[name] += 1


async def _judged(trial: Trial) -> Findings:
    found = Findings()
    seen = await verdict(trial.stage, trial.progress.ledger, 0.0)
    for problem in seen.problems:
        found.note("wrong", 1, problem)
    await events(trial.stage, found)
    return found


def told(trial: Trial, plan: Plan, found: Findings) -> dict[str, Any]:
    """The JSON line."""
    return {
        "systems": "simulators",
        "faults": dict(sorted(trial.made.items())),
        "kills": trial.made["kill_random"],
        "changes": trial.progress.wishes,
        "received": trial.progress.ledger["totals"]["received"],
        "seed": plan.seed,
        **found.counted(),
        "restart_seconds_median": round(statistics.median(trial.restarts), 2) if trial.restarts else None,
        "restarts_of_its_own": trial.stage.worker.restarts,
        "settled": True,
        "findings": found.words[:20],
    }
