"""Two systems, a pipeline and people, in memory and in any interleaving: the world the merge has to live in.

Salesforce tells of each change in order, tagged where we made it, and of nothing where a write changed nothing. Dynamics
only hints: its row is read later, as it is then, with its version, and refuses a write that expects another version.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from isthmus.codecs.frames import encode
from isthmus.codecs.linked import Linked, Report
from isthmus.config.mapping import load_mappings
from isthmus.tables.fold import fold
from isthmus.tables.golden import GOLDEN, DesiredWrite, Golden
from isthmus.tables.precedence import same

ACCOUNT = load_mappings().entities["account"]
VALUES: dict[str, list[Any]] = {
    "name": ["a", "b", "c"],
    "phone": ["1", "2", "3", None],
    "credit_limit": [1, 2, 3],
    "billing_city": ["x", "y", None],
    "billing_street": ["p", "q"],
}


@dataclass
class Row:
    """One record in one system, with what it has told so far and what waits to be written to it."""

    system: str
    native: str
    values: dict[str, Any] = field(default_factory=dict)
    version: int = 0
    told: list[tuple[dict[str, Any], int, str, bool]] = field(default_factory=list)
    read: int = 0
    writes: list[DesiredWrite] = field(default_factory=list)

    def set(self, values: dict[str, Any], when: int, *, ours: bool = False) -> None:
        """A person's edit, or our write."""
        changed = {name: value for name, value in values.items() if not same(self.values.get(name), value)}
        self.version += 1
        self.values.update(changed)
        self.told.append((changed, self.version, f"{when:06d}", ours))


class World:
    """`edits` people's edits, everything else in an order that `seed` decides; `run` ends when nothing is left to do."""

    def __init__(self, seed: int, edits: int) -> None:
        self.chance = random.Random(seed)
        self.salesforce, self.dynamics = Row("salesforce", "S1"), Row("dynamics", "D1")
        self.rows = {row.system: row for row in (self.salesforce, self.dynamics)}
        self.golden: Golden | None = None
        self.reports: list[Report] = []
        self.rereads = 0
        self.now = 0
        self.asked = 0
        self.edits = edits

    def run(self) -> None:
        """Until all is quiet."""
        first = {name: self.chance.choice([v for v in some if v is not None]) for name, some in VALUES.items()}
        self.chance.choice([self.salesforce, self.dynamics]).set(first, 0)
        self._rest()

    def edited_at_once(self, name: str, salesforce: Any, dynamics: Any, *, newer: str) -> None:
        """At rest both sides change one field, one of them a moment later; until all is quiet again."""
        self.now += 1
        self.salesforce.set({name: salesforce}, self.now + (newer == "salesforce"))
        self.dynamics.set({name: dynamics}, self.now + (newer == "dynamics"))
        self.now += 1
        self._rest()

    def _rest(self) -> None:
        while steps := self._steps():
            self.now += 1
            self.chance.choice(steps)()

    def disagreements(self) -> list[str]:
        """Where a system differs from the golden record."""
        golden = self.golden
        assert golden is not None
        return [
            f"{row.system} {name}: {row.values.get(name)!r}, golden {value!r}"
            for row in self.rows.values()
            for name, value in golden.values().items()
            if not same(row.values.get(name), value)
        ]

    def _steps(self) -> list[Any]:
        steps: list[Any] = [self._edit] * (2 if self.edits else 0)
        steps += [self._tell] if self.salesforce.told else []
        steps += [self._read] if self.dynamics.version > self.dynamics.read or self.rereads else []
        steps += [self._report] if self.reports else []
        return steps + [lambda row=row: self._write(row) for row in self.rows.values() if row.writes]

    def _edit(self) -> None:
        self.edits -= 1
        row = self.chance.choice([row for row in self.rows.values() if row.version])
        name = self.chance.choice(list(VALUES))
        row.set({name: self.chance.choice(VALUES[name])}, self.now)

    def _tell(self) -> None:
        changed, version, when, ours = self.salesforce.told.pop(0)
        self._take(self._change(self.salesforce, changed, version, when, f"e{version}", ours, row=False))

    def _read(self) -> None:
        row, self.rereads = self.dynamics, max(0, self.rereads - 1)
        row.read = row.version
        whole = {**dict.fromkeys(VALUES), **row.values}
        when = row.told[-1][2]
        self._take(self._change(row, whole, row.version, when, f"r{row.version}/{self.now}", None, row=True))

    def _change(
        self, of: Row, values: dict[str, Any], version: int, when: str, id_: str, ours: bool | None, *, row: bool
    ) -> Linked:
        return Linked(
            system=of.system,
            native_id=of.native,
            entity="account",
            canonical="c1",
            operation="update",
            fields={name: value for name, value in values.items() if value is not None},
            cleared=tuple(name for name, value in values.items() if value is None),
            version=f"{version:020d}",
            changed_at=when,
            change_id=id_,
            correlation="c",
            tagged=ours,
            row=row,
        )

    def _take(self, item: Linked | Report) -> None:
        held = None if self.golden is None else GOLDEN.decode(encode(self.golden))
        folded = fold(held, item, ACCOUNT)
        self.golden = folded.state
        for write in folded.writes:
            self.asked += 1
            self.rows[write.system].writes.append(write)

    def _write(self, row: Row) -> None:
        write = row.writes.pop(0)
        if row.writes and self.chance.random() < 0.5:
            return  # a newer wish took its place before it was carried out
        versioned = row is self.dynamics
        refused = versioned and write.native_id is not None and write.known_version != f"{row.version:020d}"
        if not refused:
            row.set(dict(write.fields), self.now, ours=True)
        version = write.known_version if refused else f"{row.version:020d}" if versioned else None
        outcome: Any = "refused" if refused else "written"
        report = Report(row.system, row.native, "c1", "account", write.revision, outcome, version, write.fields)
        self.reports.append(report)
        self.rereads += refused  # who comes first, the answer or the report, nobody knows

    def _report(self) -> None:
        self._take(self.reports.pop(0))
