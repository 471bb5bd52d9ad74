"""A target that is away, in time that is only told, and a partition of deliver with its table in RocksDB."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from isthmus.agents import deliver
from isthmus.config.errors import PlatformError, TransientError
from isthmus.config.mapping import load_mappings
from isthmus.systems.protocol import Write, Written
from isthmus.tables.breaker import Limits
from isthmus.tables.deliveries import GATE, Parked, Patience, breaker_of, deliveries
from isthmus.tables.golden import DesiredWrite
from isthmus.tables.stage import Batch
from isthmus.tables.store import SMALLEST_ROOM, Store, shared_cache
from isthmus.tables.unit import Unit

MAPPINGS = load_mappings()
TABLE = deliveries("dynamics")
START = 1_800_000_000.0
LIMITS = Limits(rate=50.0)


@dataclass
class Target:
    """Answers, or is away, which it lets people wait for; remembers what it was told, and when."""

    name: str = "dynamics"
    now: float = START
    away: bool = False
    hangs: float = 0.0
    calls: int = 0
    revisions: dict[str, int] = field(default_factory=dict)
    overtaken: int = 0
    writes: list[tuple[float, str, int]] = field(default_factory=list)

    async def write(self, writes: Sequence[Write]) -> list[Written | PlatformError]:
        self.calls += 1
        if self.away:
            self.now += self.hangs
            raise TransientError("dynamics does not answer", code="NETWORK")
        for write in writes:
            revision = int(str(write.fields["name"]))
            self.overtaken += revision < self.revisions.get(write.external_id, 0)
            self.revisions[write.external_id] = revision
            self.writes.append((self.now, write.external_id, revision))
        return [Written(write.record_id or "g", "7", False) for write in writes]


class Partition:
    """deliver's lane without Kafka: its store, its part of the books, its ticks."""

    def __init__(self, folder: Path, target: Target, limits: Limits = LIMITS) -> None:
        self.folder, self.target, self.limits = folder, target, limits
        self.counts: Counter[str] = Counter()
        self.audit: list[str] = []
        self.revision = 0
        self.open()

    def open(self) -> None:
        """As a process does that begins, here or elsewhere."""
        self.store = Store(self.folder, shared_cache(8 << 20), room=SMALLEST_ROOM)
        self.stage = deliver.stage(self.target, MAPPINGS, Patience(), self.limits, clock=lambda: self.target.now)  # type: ignore[arg-type]
        self.due: float | None = self.target.now

    async def second(self, records: Sequence[int] = ()) -> None:
        """One second: wishes for these records, and ticks as long as one is due."""
        self.target.now += 1.0
        if records:
            await self.work([Batch("writes.dynamics", [self.wish(record) for record in records])])
        for _ in range(100):
            if self.due is None or self.due > self.target.now:
                return
            await self.work([Batch("tick", [self.target.now])])
        raise AssertionError("it ticks without end")

    def wish(self, record: int) -> DesiredWrite:
        """The newest wish for a record."""
        self.revision += 1
        name = {"name": str(self.revision)}
        return DesiredWrite("dynamics", f"c-{record}", "account", self.revision, f"g{record}", name, None, "x")

    async def work(self, batches: Sequence[Batch]) -> None:
        """A unit of work."""
        unit = Unit({TABLE.name: self.store})
        fold = self.stage.fold(unit, batches)
        assert fold is not None
        await fold
        self.store.apply(unit.encoded().get(TABLE.name, {}), 0)
        for counts in unit.counts.values():
            self.counts.update(counts)
        self.audit += [orjson.loads(one.value)["context"]["after"] for one in unit.records if one.topic == "audit"]
        self.due = unit.due

    def state(self) -> str:
        """The breaker's."""
        raw = self.store.get(GATE)
        return breaker_of(None if raw is None else TABLE.decode(raw)).state

    def parked(self) -> list[Parked]:
        """All that waits."""
        found = (TABLE.decode(raw) for key, raw in self.store.scan() if not key.startswith(b"\xff"))
        return [one for one in found if isinstance(one, Parked)]
