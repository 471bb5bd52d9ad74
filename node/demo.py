"""The demo: a real Kafka, both simulators and a worker, and a business day played through them: `make demo`.

Promises: stops what it started and only that; ends with the proof that the books balance, that both systems and the
golden records agree, and that no canonical event came twice. What differs is said, and the exit code is 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from isthmus.node.broker import local_kafka
from isthmus.node.proof import Events, disagreements, read_events
from isthmus.node.story import Story, tell
from isthmus.node.theatre import Progress, Theatre, settle, theatre, with_tasks
from isthmus.simulators.salesforce import SalesforceOrg

SETTLE_SECONDS = 300.0


# -- the day


async def play(stage: Theatre, progress: Progress, *, seed: int, size: int, pause: float) -> Story:
    """The whole day: new customers, then changes at both desks, with the trouble that real systems make; then the story."""
    day = stage.day(seed, size)
    stage.org.duplicate_every = 25
    stage.environment.duplicate_every = 20
    stage.environment.shuffle = True
    for name, wishes in (("morning: new customers", day.morning()), ("afternoon: changes", day.afternoon())):
        progress.phase = name
        for _ in wishes:
            progress.wishes += 1
            if progress.wishes % 10 == 0:
                await asyncio.sleep(pause)
            if progress.wishes == size * 3:
                _change_behind_a_gap(stage.org)
        await settle(stage, progress, SETTLE_SECONDS)
    story = Story(edits=progress.wishes)
    await tell(stage, progress, story)
    progress.phase = "evening: all comes to rest"
    await settle(stage, progress, SETTLE_SECONDS)
    return story


def _change_behind_a_gap(org: SalesforceOrg) -> None:
    """One change of which the org says no more than that it happened."""
    account = min(org.rows("Account"))
    org.gap_next("Account", [account])
    org.update("Account", account, {"Phone": "+44 20 7946 0000"})


# -- the proof


@dataclass(frozen=True)
class Verdict:
    """What the demo found; `summary` is its JSON."""

    summary: dict[str, Any]
    problems: list[str]


async def verdict(stage: Theatre, ledger: Mapping[str, Any], seconds: float) -> Verdict:
    """Look at everything from outside."""
    events = await read_events(stage.bootstrap, stage.namespace, stage.mappings)
    differing = await disagreements(stage.worker.url, stage.mappings, events, stage.rows())
    totals = ledger["totals"]
    problems = [*differing, *_unbalanced(ledger, events)]
    summary = {
        **{name: totals[name] for name in ("received", "applied", "unchanged", "echo", "parked", "dead", "in_flight")},
        "balanced": bool(ledger["balanced"]) and not events.repeated,
        "converged": not differing,
        "events": dict(sorted(events.types.items())),
        "seconds": round(seconds, 1),
    }
    return Verdict(summary, problems)


def _unbalanced(ledger: Mapping[str, Any], events: Events) -> list[str]:
    problems = [] if ledger["balanced"] else [f"the books do not balance: {ledger['subjects']}"]
    return problems if not events.repeated else [*problems, f"{events.repeated} canonical events came twice"]


# -- the show


def run_demo(*, once: bool = False, as_json: bool = False, size: int = 250, seed: int = 1) -> int:
    """Play; the exit code."""
    try:
        return asyncio.run(_run(once=once, as_json=as_json, size=size, seed=seed))
    except KeyboardInterrupt:
        return 130


async def _run(*, once: bool, as_json: bool, size: int, seed: int) -> int:
    screen = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="isthmus-demo-") as folder:
        async with local_kafka() as bootstrap:
            namespace = f"demo-{secrets.token_hex(3)}."
            screen.print(f"Kafka at {bootstrap}; starting both simulators and a worker")
            entities = with_tasks(Path(folder) / "entities")
            async with theatre(
                Path(folder), bootstrap=bootstrap, namespace=namespace, seed=seed, entities=entities
            ) as stage:
                found = await _perform(stage, screen, size=size, seed=seed, pause=0.02 if once else 0.2)
                _tell(found, screen, as_json=as_json)
                if not once:
                    screen.print(f"Look around at {stage.worker.url} — Ctrl-C stops everything that was started here.")
                    await asyncio.Event().wait()
                return 1 if found.problems else 0


async def _perform(stage: Theatre, screen: Console, *, size: int, seed: int, pause: float) -> Verdict:
    progress, begun = Progress(), time.monotonic()
    screen.print(f"The worker's state: {stage.worker.url}")
    with _shown(screen, lambda: _scene(progress, time.monotonic() - begun)):
        story = await play(stage, progress, seed=seed, size=size, pause=pause)
    found = await verdict(stage, progress.ledger, time.monotonic() - begun)
    return replace(found, summary={**found.summary, "story": story.told(progress.ledger)})


@contextlib.contextmanager
def _shown(screen: Console, draw: Callable[[], Table]) -> Any:
    """A live table on a terminal; nothing elsewhere."""
    if not screen.is_terminal:
        yield
        return
    with Live(get_renderable=draw, console=screen, refresh_per_second=4):
        yield


def _scene(progress: Progress, seconds: float) -> Table:
    totals = progress.ledger.get("totals", {})
    table = Table(title=f"{progress.phase} · {progress.wishes} wishes · {seconds:.0f} s")
    for name in totals:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_row(*(str(number) for number in totals.values()))
    return table


def _tell(found: Verdict, screen: Console, *, as_json: bool) -> None:
    for problem in found.problems:
        screen.print(f"problem: {problem}", markup=False)
    if as_json:
        sys.stdout.write(json.dumps(found.summary) + "\n")
        sys.stdout.flush()
        return
    for name, value in found.summary.items():
        screen.print(f"{name:>10}  {value}", markup=False)
