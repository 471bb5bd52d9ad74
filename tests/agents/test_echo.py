"""Two systems that people edit at once, over all stages: both end equal, nothing loops, and few writes are made.

Salesforce tells of each change in a record's order, tagged where it was ours, now and then again much later; it knows no
condition. Dynamics only hints, late, in any order and more than once; its rows are read as they are then, and it refuses
a write that expects another version.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from partitions import Answering, Partitions
from test_convergence import balanced

from isthmus.codecs.arrival import Arrival, Reread, native_key
from isthmus.codecs.change import Change, Value
from isthmus.config.errors import ConflictError, PlatformError
from isthmus.config.mapping import load_mappings
from isthmus.systems.protocol import Row, Write, Written

MAPPINGS = load_mappings()
ACCOUNT = MAPPINGS.entities["account"]
EDITS, RECORDS, ENOUGH_STEPS = 10_000, 200, 200_000
VALUES: dict[str, list[Value]] = {
    "name": ["Alder", "Birch", "Cedar"],
    "phone": ["1", "2", "3", None],
    "website": ["a.example", "b.example", None],
    "credit_limit": ["1", "2", "3"],
    "billing_city": ["Ulm", "Bern", None],
    "billing_street": ["First", "Second"],
}


def at(step: int) -> str:
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=step)).isoformat().replace("+00:00", "Z")


class People(Answering):
    """A system that people edit and we write to. `news`: what it has not told of yet, by record."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.columns = ACCOUNT.systems[name]
        self.rows: dict[str, dict[str, Value]] = {}
        self.versions: dict[str, int] = {}
        self.times: dict[str, str] = {}
        self.news: dict[str, list[Change]] = {}
        self.now = 0

    def edit(self, native: str, values: dict[str, Value]) -> None:
        """A person's edit, of canonical fields."""
        self.set(native, {self.columns.fields[name]: value for name, value in values.items()}, ours=False)

    def set(self, native: str, values: dict[str, Value], *, ours: bool) -> None:
        """Change a record, or make it."""
        row = self.rows.setdefault(native, {})
        changed = {name: value for name, value in values.items() if row.get(name) != value}
        version = self.versions[native] = self.versions.get(native, 0) + 1
        self.now += 1
        row.update(changed)
        if changed:
            self.times[native] = at(self.now)
            self.news.setdefault(native, []).append(self._change(native, changed, version, ours))

    def _change(self, native: str, changed: dict[str, Value], version: int, ours: bool) -> Change:
        origin = f"com/salesforce/api/rest/60.0;client={'isthmus' if ours else 'people'}"
        told = {name: value for name, value in changed.items() if value is not None}
        cleared = tuple(name for name, value in changed.items() if value is None)
        kind: Any = "create" if version == 1 else "update"
        id_, time = f"{native}@{version}", at(self.now)
        return Change(
            self.name, self.columns.object, native, kind, told, cleared, f"{version:020d}", time, None, origin, id_
        )

    def canonical(self) -> dict[str, dict[str, Value]]:
        """What it holds, by canonical id, without what is empty."""
        return {
            str(row[self.columns.external_id]): {
                name: value for name in VALUES if (value := row.get(self.columns.fields[name])) is not None
            }
            for row in self.rows.values()
        }

    async def read(self, object: str, record_ids: Sequence[str]) -> list[Row]:
        """As it is now."""
        return [
            Row(one, True, {**dict.fromkeys(self._names()), **self.rows[one]}, self._version(one), self.times[one])
            for one in record_ids
        ]

    def _names(self) -> list[str]:
        return [*(self.columns.fields[name] for name in VALUES), self.columns.external_id]

    def _version(self, native: str) -> str:
        return f"{self.versions[native]:020d}"

    async def write(self, writes: Sequence[Write]) -> list[Written | PlatformError]:
        """Carried out, where a condition holds."""
        return [self._answer(one) for one in writes]

    def _answer(self, write: Write) -> Written | PlatformError:
        versioned = self.name == "dynamics"
        key = self.columns.external_id
        named = (native for native, row in self.rows.items() if row.get(key) == write.external_id)
        native = write.record_id or next(named, None)
        if versioned and native and write.if_version is not None and write.if_version != self._version(native):
            return ConflictError("another version")
        self.written.append(write)
        made = native or f"{self.name[0].upper()}w{len(self.rows)}"
        self.set(made, {key: write.external_id, **write.fields}, ours=True)
        return Written(made, self._version(made) if versioned else None, created=native is None)


class World(Partitions):
    """Everybody's pace, and what is told late, again, and in which order, is decided by `seed`."""

    def __init__(self, seed: int) -> None:
        self.org, self.environment = People("salesforce"), People("dynamics")
        super().__init__(MAPPINGS, seed, 3, [self.org, self.environment])
        self.people = random.Random(seed)
        self.again: list[Change] = []

    async def play(self, edits: int, records: int) -> None:
        """Until people are done and all is quiet."""
        for number in range(records):
            first = {name: self.people.choice([v for v in some if v is not None]) for name, some in VALUES.items()}
            self.people.choice([self.org, self.environment]).edit(f"p{number}", first)
        for _ in range(ENOUGH_STEPS):
            if edits and self.people.random() < 0.1:
                self._edit()
                edits -= 1
            self._tell()
            if not await self.step() and not (edits or self.org.news or self.environment.news):
                return
        raise AssertionError("it does not come to rest")

    def _edit(self) -> None:
        side = self.people.choice([one for one in (self.org, self.environment) if one.rows])
        name = self.people.choice(list(VALUES))
        native = self.people.choice(list(side.rows))
        # Whoever edits changes something: choose again what is there already.
        others = [one for one in VALUES[name] if one != side.rows[native].get(side.columns.fields[name])]
        side.edit(native, {name: self.people.choice(others)})

    def _tell(self) -> None:
        for side in (self.org, self.environment):
            if side.news and self.people.random() < 0.5:
                native = self.people.choice(list(side.news))
                change = side.news[native].pop(0)
                if not side.news[native]:
                    del side.news[native]
                self._say(side, change)
        if self.again and self.people.random() < 0.02:
            self._say(self.org, self.again.pop(self.people.randrange(len(self.again))))

    def _say(self, side: People, change: Change) -> None:
        key = native_key(side.name, change.record_id)
        if side is self.org:
            self.hear("changes.salesforce", key, Arrival(change, change.change_id))
            self.again += [change] if self.people.random() < 0.1 else []
        else:
            hint = Reread(change.entity, change.record_id, change.change_id)
            self.hear("rereads.dynamics", key, *[hint] * self.people.choice([1, 1, 2]))

    def disagreements(self) -> list[str]:
        """Where a system holds another value than the golden one. What a field's owner never said has none."""
        sides = {side.name: side.canonical() for side in (self.org, self.environment)}
        return [
            f"{canonical} {name}: {system} {rows[canonical].get(name)!r}, golden {value!r}"
            for canonical, golden in self.golden().items()
            for name, value in golden.values().items()
            for system, rows in sides.items()
            if name in VALUES and rows[canonical].get(name) != value
        ]


async def test_ten_thousand_edits_on_both_sides_end_equal_with_few_writes_and_no_loop() -> None:
    world = World(seed=1)
    await world.play(EDITS, RECORDS)
    assert world.disagreements() == []
    assert len(world.golden()) == len(world.org.rows) == len(world.environment.rows) == RECORDS
    writes = len(world.org.written) + len(world.environment.written)
    assert writes / EDITS < 1.2, writes
    assert world.letters == []
    assert balanced(world)
