"""The other form of the trial: a business day at both simulators over HTTP, instead of made-up streams.

Promises: the workers join the simulators as people's workers join the platforms; wishes are done as the run lets them in,
webhooks come late, twice, out of order and after an administrator resumed them; in the end both systems and the golden
records agree.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, ClassVar

from chaos.door import door
from chaos.generator import MAPPINGS
from chaos.proof import Findings, dead, events
from chaos.replay import Node
from chaos.run import Run
from isthmus.node.proof import disagreements, read_events
from isthmus.node.theatre import worker_settings
from isthmus.simulators.day import Day
from isthmus.simulators.dynamics import DynamicsEnvironment, serve_dynamics
from isthmus.simulators.salesforce import SalesforceOrg, serve_salesforce

WISHES = 6  # a day of size n has so many times n
RESUME_SECONDS = 1.0
LATEST_SECONDS = 0.2


@dataclass
class DayRun(Run):
    """`each` counts wishes. `resumed`: how many webhooks failed and were sent again by the administrator."""

    # A source that was cut off opens its stream again within 30 s; nothing it has not told shows in the books.
    calm_seconds: ClassVar[float] = 35.0

    org: SalesforceOrg = field(default_factory=SalesforceOrg)
    environment: DynamicsEnvironment = field(default_factory=DynamicsEnvironment)
    settings: dict[str, str] = field(default_factory=dict)
    done: int = 0
    resumed: int = 0

    def __post_init__(self) -> None:
        self.org = SalesforceOrg(seed=self.seed)
        self.environment = DynamicsEnvironment(seed=self.seed)
        self.org.duplicate_every, self.environment.duplicate_every = 25, 20
        self.environment.shuffle, self.environment.delay = True, LATEST_SECONDS
        size = -(-self.each // WISHES)
        day = Day(self.org, self.environment, self.org.ids, self.environment.ids, seed=self.seed, size=size)
        self._wishes: Iterator[str] = chain(day.morning(), day.afternoon())

    @property
    def told(self) -> int:
        """How many wishes were done."""
        return self.done

    def given(self) -> dict[str, str]:
        """The variables of every worker."""
        return {**self.settings, "CHAOS_RUN": str(self.folder)}

    def let_in(self, number: int) -> None:
        """Do wishes until so many are done."""
        while self.done < number:
            self.done += 1
            next(self._wishes, None)

    def at_rest(self, ledger: dict[str, Any]) -> bool:
        """Are all wishes done, and nothing under way?"""
        if not ledger or not ledger["complete"] or ledger["frames"] or ledger["hints"]:
            return False
        waiting = ledger["totals"]["in_flight"] + sum(one.get("parked", 0) for one in ledger["deliveries"].values())
        return not waiting and self.done >= self.each and self.environment.settled and not self.environment.failed()

    async def administer(self) -> None:
        """Resume failed webhooks again and again, as an administrator does after an outage."""
        while True:
            await asyncio.sleep(RESUME_SECONDS)
            if self.environment.failed() and await self.books():
                for job in self.environment.failed():
                    self.environment.resume(job)
                    self.resumed += 1

    async def judge(self) -> Findings:
        """Do both systems, the golden records, the books and the events agree?"""
        found = Findings()
        found.note("unexplained", not self.ledger.get("balanced"), f"the books do not balance: {self.ledger}")
        self.say("proof: events against a replay")
        await events(Node(self.bootstrap, self.namespace), found)
        await dead(self, found)
        self.say("proof: both systems against the golden records")
        rows = {
            "salesforce": {name: self.org.rows(name) for name in MAPPINGS.objects("salesforce")},
            "dynamics": {name: self.environment.rows(name) for name in MAPPINGS.objects("dynamics")},
        }
        told = await read_events(self.bootstrap, self.namespace, MAPPINGS)
        for problem in await disagreements(self.running[0].url, MAPPINGS, told, rows):
            found.note("wrong", 1, problem)
        return found


@contextlib.asynccontextmanager
async def simulated(run: DayRun) -> AsyncIterator[None]:
    """Both simulators are served, webhooks come to whichever worker answers, and an administrator is there."""
    async with (
        serve_salesforce(run.org) as salesforce,
        serve_dynamics(run.environment) as dynamics,
        door(lambda: [hand.url for hand in run.running]) as address,
    ):
        code = secrets.token_urlsafe(16)
        run.settings = worker_settings(
            run.folder, run.bootstrap, run.namespace, run.org, salesforce, run.environment, dynamics.http_url, code
        )
        run.environment.register_webhook(f"{address}/webhooks/dynamics", auth=("WebhookKey", code))
        administrator = asyncio.create_task(run.administer())
        try:
            yield
        finally:
            administrator.cancel()
            await asyncio.gather(administrator, return_exceptions=True)
