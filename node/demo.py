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
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
from rich.console import Console
from rich.live import Live
from rich.table import Table

from isthmus.config.errors import IsthmusError
from isthmus.config.mapping import Mappings, load_mappings
from isthmus.node.broker import local_kafka
from isthmus.node.proof import Events, disagreements, read_events
from isthmus.node.stagehand import Worker, free_port
from isthmus.simulators.day import Day
from isthmus.simulators.dynamics import DynamicsEnvironment, serve_dynamics
from isthmus.simulators.salesforce import SalesforceOrg, serve_pubsub, serve_salesforce

CALM_SECONDS = 1.5
SETTLE_SECONDS = 300.0
NOTHING_MORE: Mapping[str, str] = MappingProxyType({})


@dataclass
class Theatre:
    """Everything the demo started."""

    bootstrap: str
    namespace: str
    org: SalesforceOrg
    environment: DynamicsEnvironment
    worker: Worker
    mappings: Mappings
    webhook_url: str

    def rows(self) -> dict[str, dict[str, Mapping[str, Mapping[str, Any]]]]:
        """The live rows of both systems, by system, object and id."""
        return {
            "salesforce": {name: self.org.rows(name) for name in self.mappings.objects("salesforce")},
            "dynamics": {name: self.environment.rows(name) for name in self.mappings.objects("dynamics")},
        }

    def day(self, seed: int, size: int) -> Day:
        """A day to play here."""
        return Day(
            self.org,
            self.environment,
            self.org.ids,
            self.environment.ids,
            seed=seed,
            size=size,
        )


@contextlib.asynccontextmanager
async def theatre(
    folder: Path, *, bootstrap: str, namespace: str, seed: int = 1, more: Mapping[str, str] = NOTHING_MORE
) -> AsyncIterator[Theatre]:
    """Both simulators, connected to a worker that is ready; `more` are further variables for it."""
    org, environment = SalesforceOrg(seed=seed), DynamicsEnvironment(seed=seed)
    async with serve_salesforce(org) as url, serve_pubsub(org) as pubsub, serve_dynamics(environment) as dynamics:
        code = secrets.token_urlsafe(16)
        settings = worker_settings(folder, bootstrap, namespace, org, url, environment, dynamics.http_url, code)
        settings |= {**listening_by(pubsub.url), **more}
        async with Worker(settings, folder / "worker.log") as worker:
            door = f"{worker.url}/webhooks/dynamics"
            environment.register_webhook(door, auth=("WebhookKey", code))
            await worker.ready()
            yield Theatre(bootstrap, namespace, org, environment, worker, load_mappings(), f"{door}?code={code}")


def worker_settings(
    folder: Path,
    bootstrap: str,
    namespace: str,
    org: SalesforceOrg,
    salesforce_url: str,
    environment: DynamicsEnvironment,
    dynamics_url: str,
    code: str,
) -> dict[str, str]:
    """The variables for a worker that joins these simulators."""
    return {
        "ISTHMUS_KAFKA__URL": bootstrap,
        "ISTHMUS_NODE__NAMESPACE": namespace,
        "ISTHMUS_NODE__DATA_DIR": str(folder / "state"),
        "ISTHMUS_NODE__HTTP_PORT": str(free_port()),
        "ISTHMUS_NODE__INSTANCE": f"{namespace}one",
        "ISTHMUS_LOG_LEVEL": "info",
        "ISTHMUS_PIPELINE__RETRY_BASE": "0.2",
        "ISTHMUS_PIPELINE__RETRY_CAP": "5",
        "ISTHMUS_SALESFORCE__LOGIN_URL": salesforce_url,
        **listening_by(None),
        "ISTHMUS_SALESFORCE__CLIENT_ID": org.client_id,
        "ISTHMUS_SALESFORCE__CLIENT_SECRET": org.client_secret,
        "ISTHMUS_DYNAMICS__URL": dynamics_url,
        "ISTHMUS_DYNAMICS__AUTHORITY": dynamics_url,
        "ISTHMUS_DYNAMICS__TENANT": environment.tenant,
        "ISTHMUS_DYNAMICS__CLIENT_ID": environment.client_id,
        "ISTHMUS_DYNAMICS__CLIENT_SECRET": environment.client_secret,
        "ISTHMUS_DYNAMICS__WEBHOOK": json.dumps({"kind": "key", "keys": [code]}),
    }


def listening_by(pubsub_url: str | None) -> dict[str, str]:
    """The variables for a worker that listens to this Pub/Sub API, or by CometD where there is none."""
    named = {} if pubsub_url is None else {"ISTHMUS_SALESFORCE__PUBSUB_URL": pubsub_url}
    return {"ISTHMUS_SALESFORCE__TRANSPORT": "pubsub" if named else "cometd", **named}


# -- the day


@dataclass
class Progress:
    """What the audience sees."""

    phase: str = "starting"
    wishes: int = 0
    ledger: dict[str, Any] = field(default_factory=dict)


async def play(stage: Theatre, progress: Progress, *, seed: int, size: int, pause: float) -> None:
    """The whole day: new customers, then changes at both desks, with the trouble that real systems make."""
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


def _change_behind_a_gap(org: SalesforceOrg) -> None:
    """One change of which the org says no more than that it happened."""
    account = min(org.rows("Account"))
    org.gap_next("Account", [account])
    org.update("Account", account, {"Phone": "+44 20 7946 0000"})


async def settle(stage: Theatre, progress: Progress, patience: float) -> dict[str, Any]:
    """Wait until nothing is under way any more; the ledger then. IsthmusError where that does not come."""
    calm_since: float | None = None
    before: Any = None
    try:
        async with asyncio.timeout(patience), aiohttp.ClientSession() as session:
            while True:
                answered = await _ledger(session, stage.worker.url)
                if answered is not None:
                    _resume_failed(stage.environment)
                ledger = progress.ledger = answered or progress.ledger
                state = (ledger.get("totals"), ledger.get("deliveries"))
                calm = answered is not None and _at_rest(ledger) and state == before and stage.environment.settled
                calm_since = (calm_since or time.monotonic()) if calm else None
                before = state
                if calm_since is not None and time.monotonic() - calm_since > CALM_SECONDS:
                    return ledger
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise IsthmusError(f"does not come to rest: {progress.ledger}", hint=stage.worker.last_words()) from None


def _resume_failed(environment: DynamicsEnvironment) -> None:
    """What an administrator does after an outage: a webhook that nobody took is a failed system job, to be resumed."""
    for job in environment.failed():
        environment.resume(job)


async def _ledger(session: aiohttp.ClientSession, url: str) -> dict[str, Any] | None:
    try:
        async with session.get(f"{url}/v1/ledger") as response:
            held: dict[str, Any] = await response.json()
            return held
    except aiohttp.ClientError:
        return None


def _at_rest(ledger: Mapping[str, Any]) -> bool:
    if not ledger or not ledger["complete"] or ledger["frames"] or ledger["hints"]:
        return False
    waiting = sum(counts.get("parked", 0) for counts in ledger["deliveries"].values())
    return not waiting and ledger["totals"]["in_flight"] == 0


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
            async with theatre(Path(folder), bootstrap=bootstrap, namespace=namespace, seed=seed) as stage:
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
        await play(stage, progress, seed=seed, size=size, pause=pause)
    return await verdict(stage, progress.ledger, time.monotonic() - begun)


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
