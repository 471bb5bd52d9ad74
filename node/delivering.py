"""Delivering, as people see it: which targets are called, which are left alone, and why.

Promises: what other workers hold is asked of them; an answer says so when it is not the whole truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import aiohttp
import orjson
from pydantic import BaseModel, Field

from isthmus.node.members import Members
from isthmus.node.runtime import Runtime
from isthmus.tables.breaker import Breaker
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


class DeliveryView(BaseModel):
    """How every target is delivered to."""

    targets: dict[str, Literal["closed", "open", "half_open", "draining"]] = Field(
        description="Per system the worst state of its partitions."
    )
    breakers: list[BreakerView]
    complete: bool = Field(description="False while some partition's owner did not answer.")


class Delivering:
    """The breakers of this worker and, through it, of all."""

    def __init__(self, runtime: Runtime, members: Members) -> None:
        self._runtime = runtime
        self._members = members

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

    async def all(self, *, forwarded: bool) -> DeliveryView:
        """Of all workers; `forwarded`: another worker asks, so of this one alone."""
        found = list(self.own())
        for url in () if forwarded else self._members.others():
            try:
                status, body = await self._members.ask(url, "/v1/delivery")
            except (aiohttp.ClientError, TimeoutError):
                continue
            if status == 200:
                found += [BreakerView(**one) for one in orjson.loads(body)["breakers"]]
        found.sort(key=lambda one: (one.system, one.partition))
        targets = {one.system: one.state for one in sorted(found, key=lambda one: ORDER.index(one.state))}
        expected = sum(stage.startswith(STAGE) for stage in self._runtime.stages) * self._runtime.topics.partitions
        return DeliveryView(targets=targets, breakers=found, complete=len(found) == expected)


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
