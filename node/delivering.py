"""Delivering, as people see it: which targets are called, which are left alone, and why; and how their budgets
stand.

Promises: what other workers hold is asked of them; an answer says so when it is not the whole truth.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import BaseModel, Field

from isthmus.agents.allowance import Allowance
from isthmus.codecs.limits import Use
from isthmus.node.members import Members
from isthmus.node.runtime import Runtime
from isthmus.tables.breaker import Breaker
from isthmus.tables.budgets import Standing, State
from isthmus.tables.deliveries import DUE, GATE, Deliveries, breaker_of, deliveries
from isthmus.tables.letters import timestamp

STAGE = "deliver-"
# The worst of a target's partitions speaks for it.
ORDER = ("closed", "draining", "half_open", "open")


class BreakerView(BaseModel):
    """The circuit breaker of a target, on one partition."""

    system: str
    partition: int
    state: Literal["closed", "open", "half_open", "draining"]
    since: str | None = Field(description="When it came into this state, RFC 3339; null: it never left it.")
    until: str | None = Field(description="When an open one tries again.")
    opened: int = Field(description="How often it ever opened.")
    reason: str = Field(description="The last failure that opened it.")
    first_due: str | None = Field(description="No write that waits is due before; null: none waits.")


class BudgetView(BaseModel):
    """How a use stands with a limit that a platform tells of in its answers."""

    system: str
    limit: str
    use: Use
    state: State = Field(description="`nearly` from nine tenths of what this use may use on; `waits`: it has no room.")
    used: float = Field(description="Of the limit, by everybody, as told last.")
    allowed: float
    unit: str = Field(description="What is counted: calls, or seconds of their execution.")
    window: float = Field(description="Within so many seconds.")
    told: str = Field(description="When the platform said so, RFC 3339.")
    may: float = Field(description="Up to how much of the limit this use goes now.")
    until: str | None = Field(description="When it may go on, where it waits.")
    runs_out: str | None = Field(
        description="When it will have used that up at the present pace; null: not within the window."
    )


class DeliveryView(BaseModel):
    """How every target is delivered to."""

    targets: dict[str, Literal["closed", "open", "half_open", "draining"]] = Field(
        description="Per system the worst state of its partitions."
    )
    breakers: list[BreakerView]
    budgets: list[BudgetView] = Field(default=[], description="Per system, limit and use, as told last.")
    complete: bool = Field(description="False while some partition's owner did not answer.")


class Delivering:
    """The breakers of this worker and, through it, of all."""

    def __init__(self, runtime: Runtime, members: Members, allowances: Mapping[str, Allowance]) -> None:
        self._runtime = runtime
        self._members = members
        self._allowances = allowances

    def own(self) -> Iterator[BreakerView]:
        """Of this worker's partitions; none while their tables are not whole."""
        if not self._runtime.ready.is_set():
            return
        for (stage, partition), lane in self._runtime.lanes.items():
            if stage.startswith(STAGE):
                system = stage.removeprefix(STAGE)
                table = deliveries(system)
                store = lane.stores[table.name]
                yield _view(system, partition, table, store.get(GATE), store.get(DUE))

    def budgets(self) -> list[BudgetView]:
        """As this worker was told."""
        now = time.time()
        return [_budget(name, one) for name, of in self._allowances.items() for one in of.standings(now)]

    async def all(self, *, forwarded: bool) -> DeliveryView:
        """Of all workers; `forwarded`: another worker asks, so of this one alone."""
        found, budgets = list(self.own()), self.budgets()
        for body in () if forwarded else await self._members.ask_all("/v1/delivery"):
            told = DeliveryView.model_validate_json(body)
            found, budgets = found + told.breakers, budgets + told.budgets
        found.sort(key=lambda one: (one.system, one.partition))
        targets = {one.system: one.state for one in sorted(found, key=lambda one: ORDER.index(one.state))}
        expected = sum(stage.startswith(STAGE) for stage in self._runtime.stages) * self._runtime.topics.partitions
        complete = len(found) == expected
        return DeliveryView(targets=targets, breakers=found, budgets=_newest(budgets), complete=complete)


def _view(system: str, partition: int, table: Deliveries, raw: bytes | None, due: bytes | None) -> BreakerView:
    breaker = Breaker() if raw is None else breaker_of(table.decode(raw))
    first = None if due is None else table.decode(due)
    return BreakerView(
        system=system,
        partition=partition,
        state=breaker.state,
        since=timestamp(breaker.since) if breaker.since else None,
        until=timestamp(breaker.until) if breaker.state == "open" else None,
        opened=breaker.opened,
        reason=breaker.reason,
        first_due=timestamp(first) if isinstance(first, float) else None,
    )


def _newest(budgets: list[BudgetView]) -> list[BudgetView]:
    """Of what workers were told of the same, the last."""
    last = {(one.system, one.limit, one.use): one for one in sorted(budgets, key=lambda one: one.told)}
    return [last[key] for key in sorted(last)]


def _budget(system: str, one: Standing) -> BudgetView:
    return BudgetView(
        system=system,
        limit=one.limit.name,
        use=one.use,
        state=one.state,
        used=one.limit.used,
        allowed=one.limit.allowed,
        unit=one.limit.unit,
        window=one.limit.window,
        told=timestamp(one.limit.at),
        may=one.may,
        until=None if one.until is None else timestamp(one.until),
        runs_out=None if one.runs_out is None else timestamp(one.runs_out),
    )
