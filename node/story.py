"""The story that the demo tells after its day: one customer's troubles, each a chapter that ends when it is over.

Promises: every chapter waits for what it tells of, and raises IsthmusError with its own name where that does not come;
nothing is asserted here, the figures are for whoever reads the demo's JSON.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import Any

import aiohttp

from isthmus.config.errors import IsthmusError
from isthmus.node.theatre import OPERATOR, Progress, Theatre

CHAPTER_SECONDS = 120.0
OUTAGE_RECORDS = 40
TOO_LONG = "Alder & Birch, " * 12  # Salesforce takes it, the name column of Dynamics does not


@dataclass
class Story:
    """What came of it. `parked_peak`: the most writes that waited at once; `edits`: what people did at both desks."""

    conflicts: int = 0
    merges: int = 0
    rejected: int = 0
    tasks_opened: int = 0
    outage_seconds: float = 0.0
    parked_peak: int = 0
    replayed: int = 0
    edits: int = field(default=0, repr=False)

    def told(self, ledger: Mapping[str, Any]) -> dict[str, Any]:
        """Its JSON; the ledger says how many writes there were."""
        writes = sum(counts.get("written", 0) for counts in ledger["deliveries"].values())
        figures = asdict(self)
        edits = figures.pop("edits")
        return {**figures, "writes_per_edit": round(writes / max(1, edits), 2)}


class Desk:
    """Both desks and the node's own API, as the people of the story use them."""

    def __init__(self, stage: Theatre, session: aiohttp.ClientSession, story: Story) -> None:
        self.stage = stage
        self.story = story
        self._session = session

    def salesforce(self, object: str, record_id: str | None, **fields: Any) -> str:
        """Somebody at Salesforce creates or changes a record; its id."""
        self.story.edits += 1
        if record_id is None:
            return self.stage.org.create(object, fields)
        self.stage.org.update(object, record_id, fields)
        return record_id

    def dynamics(self, table: str, record_id: str, **fields: Any) -> None:
        """Somebody at Dynamics changes a row."""
        self.story.edits += 1
        self.stage.environment.update(table, record_id, fields)

    async def asks(self, path: str, **query: str) -> Any:
        """The node's answer; None where there is none yet."""
        async with self._session.get(f"{self.stage.worker.url}{path}", params=query) as response:
            return await response.json() if response.ok else None

    async def canonical(self, system: str, native_id: str) -> str | None:
        """The golden record of a record, as soon as it has one."""
        found = await self.asks(f"/v1/xref/{system}/{native_id}")
        return found["canonical"] if found else None

    async def rejected(self, native_id: str) -> list[Any]:
        """What is asked about a record of Salesforce that breaks rules."""
        canonical = await self.canonical("salesforce", native_id)
        found = await self.asks("/v1/reviews", kind="rejected")
        return [one for one in found["reviews"] if one["canonical"] == canonical] if found else []

    async def task(self, about: str, status: str) -> str | None:
        """The task about a record, in this status."""
        rows = self.stage.org.rows("Task").items()
        return next((one for one, row in rows if row.get("WhatId") == about and row.get("Status") == status), None)

    async def orders(self, path: str, body: Mapping[str, Any]) -> Any:
        """What came of an operator's order."""
        async with self._session.post(f"{self.stage.worker.url}{path}", json=body) as response:
            told = await response.json()
            if not response.ok:
                raise IsthmusError(f"{path}: {told}", hint=self.stage.worker.last_words())
            return told

    async def until(self, what: str, seen: Callable[[], Awaitable[Any]]) -> Any:
        """Wait until something is seen, and give it back."""
        try:
            async with asyncio.timeout(CHAPTER_SECONDS):
                while not (found := await seen()):
                    await asyncio.sleep(0.1)
                return found
        except TimeoutError:
            raise IsthmusError(f"the story waits in vain: {what}", hint=self.stage.worker.last_words()) from None

    async def until_row(self, what: str, table: str, **fields: Any) -> str:
        """Wait for a row of Dynamics with these values; its id."""

        async def seen() -> str | None:
            rows = self.stage.environment.rows(table)
            return next((one for one, row in rows.items() if fields.items() <= dict(row).items()), None)

        return str(await self.until(what, seen))

    async def until_record(self, what: str, object: str, record_id: str, **fields: Any) -> None:
        """Wait until a record of Salesforce has these values."""

        async def seen() -> bool:
            return fields.items() <= dict(self.stage.org.rows(object)[record_id]).items()

        await self.until(what, seen)

    async def parked(self) -> int:
        """How many writes wait now; the story keeps the most."""
        ledger = await self.asks("/v1/ledger")
        waiting = sum(counts.get("parked", 0) for counts in ledger["deliveries"].values()) if ledger else 0
        self.story.parked_peak = max(self.story.parked_peak, waiting)
        return waiting


@asynccontextmanager
async def _desk(stage: Theatre, story: Story) -> AsyncIterator[Desk]:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {OPERATOR}"}) as session:
        yield Desk(stage, session, story)


async def tell(stage: Theatre, progress: Progress, story: Story) -> None:
    """Every chapter, in order."""
    async with _desk(stage, story) as desk:
        for chapter in CHAPTERS:
            progress.phase = f"the story: {(chapter.__doc__ or '').splitlines()[0].rstrip('.')}"
            await chapter(desk)
        for state in ("open", "closed"):
            found = await desk.asks("/v1/reviews", kind="conflict", state=state)
            story.conflicts += found["total"]


# -- the chapters


async def create_and_enrich(desk: Desk) -> None:
    """Salesforce wins a customer, Dynamics sets its credit limit."""
    account = desk.salesforce("Account", None, Name="Alder Optics", Phone="+44 20 7946 0011")
    row = await desk.until_row("the customer comes to Dynamics", "account", name="Alder Optics")
    desk.dynamics("account", row, creditlimit=25000.0, address1_city="Porto", address1_country="Portugal")
    await desk.until_record("its city comes to Salesforce", "Account", account, BillingCity="Porto")


async def two_desks(desk: Desk) -> None:
    """Both desks type another number at once; a steward swaps what the rule has chosen."""
    account = desk.salesforce("Account", None, Name="Birch Foods", Phone="+44 20 7946 0021")
    row = await desk.until_row("the customer comes to Dynamics", "account", name="Birch Foods")
    canonical = await desk.until("it is known", lambda: desk.canonical("dynamics", row))
    desk.dynamics("account", row, telephone1="+44 20 7946 0022")
    desk.salesforce("Account", account, Phone="+44 20 7946 0023")
    id = f"conflict/{canonical}/phone"
    asked = await desk.until("a steward is asked", lambda: desk.asks("/v1/review", id=id))
    (other,) = [side["value"] for side in asked["sides"] if not side["counts"]]
    await desk.orders("/v1/decisions", {"verb": "swap", "review": id, "by": "the demo", "why": "she called"})
    await desk.until_row("the other number comes to Dynamics", "account", name="Birch Foods", telephone1=other)
    await desk.until_record("the other number comes to Salesforce", "Account", account, Phone=other)


async def merge(desk: Desk) -> None:
    """Somebody merges two customers in Salesforce, and their rows in Dynamics."""
    names = ("Cedar Energy", "Cedar Energy Ltd")
    winner, loser = (desk.salesforce("Account", None, Name=name) for name in names)
    rows = [await desk.until_row("both come to Dynamics", "account", name=name) for name in names]
    await desk.until("both are known", lambda: desk.canonical("dynamics", rows[1]))
    desk.stage.org.merge("Account", winner, [loser])
    desk.stage.environment.merge("account", rows[0], rows[1], {})
    desk.story.edits += 2

    async def one() -> bool:
        people = [("salesforce", winner), ("salesforce", loser), ("dynamics", rows[0]), ("dynamics", rows[1])]
        return len({await desk.canonical(*one) for one in people}) == 1

    await desk.until("their golden records are one", one)
    desk.story.merges += 1


async def bad_record(desk: Desk) -> None:
    """A credit limit below zero goes no further; its steward has a task, which is done when it is put right."""
    account = desk.salesforce("Account", None, Name="Dover Marine")
    row = await desk.until_row("the customer comes to Dynamics", "account", name="Dover Marine")
    desk.dynamics("account", row, creditlimit=-1000.0)
    asked = await desk.until("it is rejected", lambda: desk.rejected(account))
    task = await desk.until("its steward has a task", lambda: desk.task(account, "Not Started"))
    desk.story.rejected += len(asked)
    desk.story.tasks_opened += 1
    desk.dynamics("account", row, creditlimit=1000.0)
    await desk.until_record("its limit comes to Salesforce", "Account", account, Credit_Limit__c=1000)
    await desk.until_record("the task is completed", "Task", task, Status="Completed")


async def outage(desk: Desk) -> None:
    """Dynamics is away until its breaker opens, while Salesforce works on."""
    began = time.monotonic()
    accounts = cycle(sorted(desk.stage.org.rows("Account"))[:OUTAGE_RECORDS])
    desk.stage.environment.outage.status = 503
    try:
        await desk.until("its circuit breaker opens", lambda: _edited_until_open(desk, next(accounts)))
    finally:
        desk.stage.environment.outage.over()
    desk.story.outage_seconds = round(time.monotonic() - began, 1)
    await desk.until("all that waited is written", lambda: _nothing_waits(desk))


async def _edited_until_open(desk: Desk, account: str) -> bool:
    desk.salesforce("Account", account, Phone=f"+44 20 7946 {desk.story.edits % 10_000:04d}")
    delivery = await desk.asks("/v1/delivery")
    return await desk.parked() >= OUTAGE_RECORDS // 2 and bool(delivery) and delivery["targets"]["dynamics"] == "open"


async def _nothing_waits(desk: Desk) -> bool:
    return not await desk.parked()


async def refused_and_replayed(desk: Desk) -> None:
    """Dynamics refuses a name; it is put right and the dead letter replayed."""
    account = desk.salesforce("Account", None, Name=TOO_LONG)
    (letter,) = await desk.until("the write is a dead letter", lambda: _letters(desk))
    desk.salesforce("Account", account, Name="Alder & Birch")
    await desk.until_row("the right name comes to Dynamics", "account", name="Alder & Birch")
    done = await desk.orders("/v1/dead/replay", {"ids": [letter["id"]], "by": "the demo"})
    desk.story.replayed += sum(one["done"] == "replayed" for one in done["results"])


async def _letters(desk: Desk) -> list[dict[str, Any]]:
    found = await desk.asks("/v1/dead", system="dynamics", state="open")
    letters: list[dict[str, Any]] = found["letters"] if found else []
    return letters


CHAPTERS = (create_and_enrich, two_desks, merge, bad_record, outage, refused_and_replayed)
