"""The theatre of the demo: both platforms simulated, connected to a worker on a real Kafka, and the waiting until it rests.

Promises: stops what it started and only that; what does not come to rest is said with the worker's last words.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp

from isthmus.config.errors import IsthmusError
from isthmus.config.mapping import ENTITIES, Mappings, load_mappings
from isthmus.node.stagehand import Worker, free_port
from isthmus.simulators.day import Day
from isthmus.simulators.dynamics import DynamicsEnvironment, serve_dynamics
from isthmus.simulators.salesforce import SalesforceOrg, serve_pubsub, serve_salesforce

CALM_SECONDS = 1.5
OPERATOR = "the-demo's-operator"
TOLD = ("Create", "Update", "Delete", "Merge")
# The field of a task that points at a record of each entity.
ABOUT = {"account": "about", "contact": "who"}
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
    folder: Path,
    *,
    bootstrap: str,
    namespace: str,
    seed: int = 1,
    more: Mapping[str, str] = NOTHING_MORE,
    entities: Path = ENTITIES,
) -> AsyncIterator[Theatre]:
    """Both simulators, connected to a worker that is ready; `more` are further variables for it."""
    org, environment = SalesforceOrg(seed=seed), DynamicsEnvironment(seed=seed)
    async with serve_salesforce(org) as url, serve_pubsub(org) as pubsub, serve_dynamics(environment) as dynamics:
        code = secrets.token_urlsafe(16)
        settings = worker_settings(folder, bootstrap, namespace, org, url, environment, dynamics.http_url, code)
        settings |= {"ISTHMUS_ENTITIES_DIR": str(entities), **listening_by(pubsub.url), **more}
        async with Worker(settings, folder / "worker.log") as worker:
            door = f"{worker.url}/webhooks/dynamics"
            environment.register_webhook(door, auth=("WebhookKey", code), messages=TOLD)
            await worker.ready()
            yield Theatre(
                bootstrap, namespace, org, environment, worker, load_mappings(entities), f"{door}?code={code}"
            )


def with_tasks(folder: Path) -> Path:
    """The entities that come with us, with tasks for their stewards; in this folder."""
    folder.mkdir()
    shutil.copy(ENTITIES / "optional" / "task.yaml", folder)
    for name, about in ABOUT.items():
        told = (ENTITIES / f"{name}.yaml").read_text()
        (folder / f"{name}.yaml").write_text(f"{told}stewards: {{tasks: task, about: {{{about}: salesforce}}}}\n")
    return folder


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
        "ISTHMUS_NODE__OPERATOR_TOKEN": OPERATOR,
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


# -- waiting


@dataclass
class Progress:
    """What the audience sees."""

    phase: str = "starting"
    wishes: int = 0
    ledger: dict[str, Any] = field(default_factory=dict)


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
