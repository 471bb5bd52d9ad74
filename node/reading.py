"""Reading the state: golden records, cross-references, the ledger and health, as values for the HTTP API.

Promises: what is not held here is asked of the worker that holds it; an answer says so when it is not the whole truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, Field

from isthmus.agents.allowance import Allowance
from isthmus.codecs.arrival import native_key
from isthmus.node.delivering import Delivering
from isthmus.node.members import Members
from isthmus.node.runtime import Runtime
from isthmus.tables.golden import Golden
from isthmus.tables.ledger import Ledger, Tally, balance
from isthmus.tables.registers import Visible
from isthmus.tables.unit import Table, partition_of

T = TypeVar("T")


class ProvenanceView(BaseModel):
    """Why a field has its value."""

    value: Any = Field(description="The golden value; null is a value.")
    system: str | None = Field(description="The system it came from.")
    native_id: str | None = Field(description="The record it came from.")
    change_id: str | None = Field(description="The change that set it.")
    when: str | None = Field(description="When it was changed there, RFC 3339.")
    rule: str | None = Field(description="The rule that chose it; of a steward's decision, what was done and by whom.")
    why: str = Field("", description="Why a steward decided so, in that person's words.")


class GoldenView(BaseModel):
    """A golden record with its provenance."""

    entity: str
    id: str = Field(description="The canonical id.")
    revision: int = Field(description="Grows with each change of the visible values or links.")
    fields: dict[str, Any] = Field(description="The golden values.")
    provenance: dict[str, ProvenanceView] = Field(description="Per field, why it has its value.")
    links: dict[str, dict[str, bool]] = Field(description="Per system, its records and whether each still exists.")


class RedirectView(BaseModel):
    """A golden record that turned out to be another one; Location says where that is to be asked for."""

    entity: str
    id: str = Field(description="The canonical id that was asked for.")
    redirect: str = Field(description="The canonical id of the golden record that it is.")


class XrefView(BaseModel):
    """A native record's golden record."""

    system: str
    native_id: str
    entity: str
    canonical: str = Field(description="The canonical id.")


class LedgerView(BaseModel):
    """The books: per source received = applied + unchanged + echo + parked + dead + in_flight, and per target likewise.
    `reread`: of those received, the answers to what we had asked for."""

    subjects: dict[str, dict[str, int]] = Field(description="Per system/entity, each outcome's count.")
    totals: dict[str, int]
    deliveries: dict[str, dict[str, int]] = Field(
        description="Per target: intended = written + unchanged + superseded + parked + dead + in_flight; beside that, "
        "how many retries, conflicts, held, second_pass there were."
    )
    frames: int = Field(description="Frames under way between stages.")
    hints: int = Field(description="Webhook hints that wait for their re-read.")
    complete: bool = Field(description="False while some partition's owner did not answer.")
    balanced: bool = Field(description="Nothing lost, nothing invented, in what is known.")


class HealthView(BaseModel):
    """Alive, or ready."""

    ok: bool
    reasons: list[str] = Field(default_factory=list, description="What is missing.")


class Reading:
    """The state of this worker and, through it, of all."""

    def __init__(
        self, runtime: Runtime, members: Members, faults: dict[str, str], allowances: Mapping[str, Allowance]
    ) -> None:
        self.runtime = runtime
        self.members = members
        self.faults = faults
        self.delivering = Delivering(runtime, members, allowances)

    def holds(self, stage: str, key: bytes) -> bool:
        """Is the key's partition held here, and whole?"""
        return (stage, self.partition(key)) in self.runtime.lanes and self.runtime.ready.is_set()

    def local(self, stage: str, table: Table[T], key: bytes) -> T | None:
        """The value of a key that is held here."""
        raw = self.runtime.lanes[stage, self.partition(key)].stores[table.name].get(key)
        return None if raw is None else table.decode(raw)

    def partition(self, key: bytes) -> int:
        """A key's partition."""
        return partition_of(key, self.runtime.topics.partitions)

    def owner(self, stage: str, key: bytes) -> str | None:
        """The worker that holds a key of a stage."""
        topic = self.runtime.topics.topic(self.runtime.stages[stage].topics[0])
        return self.members.owner(topic, self.partition(key))

    # -- the ledger

    def tally(self) -> Tally:
        """What this worker's markers say; nothing while they are not read yet."""
        tally = Tally()
        for lane in self.runtime.lanes.values() if self.runtime.ready.is_set() else ():
            tally.add(str(lane), lane.partition, lane.marker)
        return tally

    async def ledger(self) -> LedgerView:
        """The books of all workers."""
        tally, hints = self.tally(), self.hints()
        for body in await self.members.ask_all("/v1/tally"):
            other = orjson.loads(body)
            tally.join(other)
            hints += other["hints"]
        return self._view(balance(tally, self._expected()), hints)

    def _view(self, ledger: Ledger, hints: int) -> LedgerView:
        return LedgerView(
            subjects=ledger.subjects,
            totals=ledger.totals,
            deliveries=ledger.deliveries,
            frames=ledger.frames,
            hints=hints,
            complete=ledger.complete,
            balanced=ledger.balanced,
        )

    def _expected(self) -> Iterable[str]:
        for stage in self.runtime.stages:
            for partition in range(self.runtime.topics.partitions):
                yield f"{stage}-{partition}"

    def hints(self) -> int:
        """Webhook hints on this worker's partitions that no lane has done yet."""
        return sum(
            self.runtime.behind(lane, self.runtime.topics.topic(name))
            for lane in self.runtime.lanes.values()
            for name in lane.stage.topics
            if name.startswith("hints.")
        )

    # -- health

    def health(self) -> HealthView:
        """Ready: partitions are ours, tables are whole, sources run."""
        reasons = [*self.runtime.alarms(), *(f"{system}: {fault}" for system, fault in self.faults.items())]
        if not self.runtime.ready.is_set():
            reasons.append("tables are being recovered, or no partitions are assigned yet")
        return HealthView(ok=not reasons, reasons=reasons)


def golden_view(golden: Golden) -> GoldenView:
    """A golden record as people see it."""
    return GoldenView(
        entity=golden.entity,
        id=golden.canonical,
        revision=golden.revision,
        fields=golden.values(),
        provenance={name: _why(golden, name, visible) for name, visible in golden.whys()},
        links=golden.links,
    )


def _why(golden: Golden, name: str, visible: Visible) -> ProvenanceView:
    register = golden.seen(name)
    return ProvenanceView(
        value=register.value if register else None,
        system=visible.system,
        native_id=visible.native_id,
        change_id=register.change_id if register else None,
        when=register.when if register else None,
        rule=visible.rule,
        why=golden.reasons.get(register.change_id, "") if register else "",
    )


def xref_key(system: str, native_id: str) -> bytes:
    """The xref table's key for a native record."""
    return native_key(system, native_id)
