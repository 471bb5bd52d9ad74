"""The matrix: which faults, in which order, and what came of them.

Promises: the order follows from the seed; every fault that was asked for is in the report, made or skipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import statistics
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.broker import Broker
from chaos.faults import KILLS, TROUBLES
from chaos.ground import GROUND, STRANGE
from chaos.hand import KILLED, ROOT
from chaos.oracle import Written
from chaos.plan import Plan
from chaos.proof import Findings, prove
from chaos.run import Run, Say, Skipped, flowing

FAULTS = {**KILLS, **TROUBLES, **GROUND, **STRANGE}
SHORT = ("pause", "wiped_data", "corrupt_record")
KILLS_A_TROUBLE = 20


@dataclass
class Report:
    """What was done and found."""

    made: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, str] = field(default_factory=dict)
    settled: bool = False
    findings: Findings = field(default_factory=Findings)


def order(plan: Plan, chance: random.Random) -> list[str]:
    """The faults of a run."""
    if plan.faults:
        return list(plan.faults)
    kills = [name for name in KILLS if not plan.short or name.startswith("kill_at_")]
    names = [kills[number % len(kills)] for number in range(plan.kills)]
    troubles: Sequence[str] = SHORT if plan.short else (*TROUBLES, *GROUND)
    names += list(troubles) * (1 if plan.short else max(1, plan.kills // KILLS_A_TROUBLE))
    chance.shuffle(names)
    return names


async def carry_out(plan: Plan, folder: Path, say: Say) -> dict[str, Any]:
    """The whole trial; its JSON."""
    broker = None if plan.kafka else Broker(folder / "kafka")
    if broker is not None:
        await broker.start()
    try:
        bootstrap = plan.kafka or (broker.bootstrap if broker else "")
        chance = random.Random(plan.seed)
        namespace = f"chaos-{secrets.token_hex(3)}."
        run = Run(
            folder,
            bootstrap,
            namespace,
            plan.seed,
            plan.changes // 2,
            plan.rate / 2,
            chance,
            say,
            broker,
            patience=plan.patience,
        )
        report = Report()
        async with oracle(run) as truth, flowing(run, plan.workers):
            await _trouble(run, plan, order(plan, chance), report)
            await _judge(run, report, truth)
        return told(run, plan, report)
    finally:
        if broker is not None:
            await broker.stop()


@contextlib.asynccontextmanager
async def oracle(run: Run) -> AsyncIterator[asyncio.Task[Written]]:
    """The truth, worked out in a process of its own while the run goes on."""
    file = run.folder / "truth"
    command = (sys.executable, "-m", "chaos.oracle", str(run.seed), str(run.each), str(file))
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)

    async def written() -> Written:
        if code := await process.wait():
            raise RuntimeError(f"the oracle ended with {code}")
        return Written(file)

    task = asyncio.create_task(written())
    try:
        yield task
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.gather(task, return_exceptions=True)


async def _trouble(run: Run, plan: Plan, names: Sequence[str], report: Report) -> None:
    calm = 0.2 if plan.short else 0.7
    run.share = run.each / (len(names) + 1)
    for number, name in enumerate(names):
        run.target = run.share * (number + 1)
        run.say(f"{number + 1}/{len(names)} {name}  ({int(run.opened) * 2} changes, {run.kills} kills)")
        await _make(run, name, report, calm)
    while not plan.faults and run.kills < plan.kills and report.made["kill_random"] < 2 * plan.kills:
        run.say(f"kill_random for one that was skipped  ({run.kills} kills)")
        await _make(run, "kill_random", report, 1.0)


async def _make(run: Run, name: str, report: Report, calm: float) -> None:
    try:
        await FAULTS[name](run)
        report.made[name] += 1
        if run.chance.random() < calm:  # else the next one meets workers that are not yet back
            await run.back()
    except Skipped as reason:
        report.skipped[name] = str(reason)
        run.say(f"  skipped: {reason}")
    except TimeoutError:
        run.notes[f"{name}: waited in vain"] += 1
        run.say(f"  waited in vain: {[hand.exits[-5:] for hand in run.hands]}")


async def _judge(run: Run, report: Report, truth: asyncio.Task[Written]) -> None:
    run.target = run.each
    run.say("all faults made; settling")
    report.settled = await run.settle(run.patience + run.each / run.rate)
    if not report.settled:
        run.say(f"does not settle: {run.ledger}")
        for hand in run.running:
            run.say(f"{hand.name} {hand.exits[-5:]}: {hand.last_words()}")
    run.say("waiting for the oracle")
    report.findings = await prove(run, await truth)


def told(run: Run, plan: Plan, report: Report) -> dict[str, Any]:
    """The JSON line."""
    restarts = [seconds for hand in run.hands for seconds in hand.restarts]
    found = report.findings
    return {
        "faults": dict(sorted(report.made.items())),
        "kills": run.kills,
        "changes": plan.changes,
        "seed": plan.seed,
        **found.counted(),
        "restart_seconds_median": round(statistics.median(restarts), 2) if restarts else None,
        "restart_seconds_worst": round(max(restarts), 2) if restarts else None,
        "settled": report.settled,
        "exits": dict(Counter(str(code) for hand in run.hands for code in hand.exits if code != KILLED)),
        "deserted": sum(hand.deserted for hand in run.hands),
        "notes": dict(run.notes),
        "skipped": report.skipped,
        "findings": found.words[:20],
    }
