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
from chaos.day import DayRun, simulated
from chaos.faults import KILLS, TROUBLES
from chaos.ground import GROUND, STRANGE
from chaos.hand import KILLED, ROOT
from chaos.oracle import Written
from chaos.plan import Plan
from chaos.proof import Findings, prove
from chaos.run import Run, Say, Skipped, flowing
from chaos.targets import TARGETS

FAULTS = {**KILLS, **TROUBLES, **GROUND, **STRANGE, **TARGETS}
FEEDS_ONLY = ("slow_consumer",)  # over simulators the target itself is slow
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
    troubles: Sequence[str] = SHORT if plan.short else (*TROUBLES, *GROUND, *TARGETS)
    if plan.systems == "simulators":
        troubles = [name for name in troubles if name not in FEEDS_ONLY]
    else:
        troubles = [name for name in troubles if name not in TARGETS]
    names += list(troubles) * (1 if plan.short else max(1, plan.kills // KILLS_A_TROUBLE))
    chance.shuffle(names)
    return names


async def carry_out(plan: Plan, folder: Path, say: Say) -> dict[str, Any]:
    """The whole trial; its JSON."""
    broker = None if plan.kafka else Broker(folder / "kafka")
    if broker is not None:
        await broker.start()
    try:
        return await (_over_simulators if plan.systems == "simulators" else _over_feeds)(plan, folder, say, broker)
    finally:
        if broker is not None:
            await broker.stop()


async def _over_feeds(plan: Plan, folder: Path, say: Say, broker: Broker | None) -> dict[str, Any]:
    run = Run(**_common(plan, folder, say, broker), each=plan.changes // 2, rate=plan.rate / 2)
    report = Report()
    async with oracle(run) as truth, flowing(run, plan.workers):
        await _trouble(run, plan, report)
        await _settle(run, report)
        say("waiting for the oracle")
        report.findings = await prove(run, await truth)
    return told(run, plan, report)


async def _over_simulators(plan: Plan, folder: Path, say: Say, broker: Broker | None) -> dict[str, Any]:
    run = DayRun(**_common(plan, folder, say, broker), each=plan.changes, rate=plan.rate)
    report = Report()
    async with simulated(run), flowing(run, plan.workers):
        await _trouble(run, plan, report)
        await _settle(run, report)
        report.findings = await run.judge()
    received = run.ledger.get("totals", {}).get("received", 0)
    return {
        **told(run, plan, report),
        "systems": "simulators",
        "edits": plan.changes,
        "changes": received,
        "resumed": run.resumed,
    }


def _common(plan: Plan, folder: Path, say: Say, broker: Broker | None) -> dict[str, Any]:
    return {
        "folder": folder,
        "bootstrap": plan.kafka or (broker.bootstrap if broker else ""),
        "namespace": f"chaos-{secrets.token_hex(3)}.",
        "seed": plan.seed,
        "chance": random.Random(plan.seed),
        "say": say,
        "broker": broker,
        "patience": plan.patience,
    }


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


async def _trouble(run: Run, plan: Plan, report: Report) -> None:
    calm = 0.2 if plan.short else 0.7
    names = order(plan, run.chance)
    run.share = run.each / (len(names) + 1)
    for number, name in enumerate(names):
        run.target = run.share * (number + 1)
        run.say(f"{number + 1}/{len(names)} {name}  ({run.told} changes, {run.kills} kills)")
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


async def _settle(run: Run, report: Report) -> None:
    run.target = run.each
    run.say("all faults made; settling")
    report.settled = await run.settle(run.patience + run.each / run.rate)
    if not report.settled:
        run.say(f"does not settle: {run.ledger}")
        for hand in run.running:
            run.say(f"{hand.name} {hand.exits[-5:]}: {hand.last_words()}")


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
