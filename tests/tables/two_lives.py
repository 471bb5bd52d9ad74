"""Two systems in which people delete, undelete and edit one record, with the pipeline between them in any interleaving.

Salesforce tells of each change, out of order and more than once, tagged where we made it. Dynamics only hints: its row is
read later, as it is then; that it is gone says not by whom. A write waits until a newer one takes its place.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from isthmus.codecs.frames import encode
from isthmus.codecs.linked import Linked, Report
from isthmus.config.mapping import EntityMapping
from isthmus.tables.fold import fold
from isthmus.tables.golden import GOLDEN, DesiredWrite, Golden


@dataclass
class Row:
    """One native record. `gone` rows of Salesforce are in its recycle bin; of Dynamics they are no more."""

    native: str
    values: dict[str, Any] = field(default_factory=dict)
    version: int = 0
    gone: bool = False
    active: bool = True
    linked: bool = False
    at: int = 0
    read: int = 0  # the version that was read last, or that we made


class Lives:
    """`acts`: what people do, in an order that `seed` decides, as everything else; `run` ends when all is quiet. `both`:
    people delete in Dynamics too, and its webhooks tell when."""

    def __init__(self, seed: int, acts: int, mapping: EntityMapping, *, both: bool = False) -> None:
        self.both = both
        self.chance = random.Random(seed)
        self.mapping = mapping
        self.golden: Golden | None = None
        self.rows: dict[str, dict[str, Row]] = {"salesforce": {}, "dynamics": {}}
        self.told: list[Linked] = []
        self.hints: list[str] = []
        self.writes: dict[str, DesiredWrite] = {}
        self.reports: list[Report] = []
        self.acts, self.now, self.asked, self.made = acts, 0, 0, 0
        self.events: list[str] = []

    def run(self) -> None:
        """Until all is quiet."""
        self._set("salesforce", self._make("salesforce"), {"name": "a"}, "create")
        while steps := self._steps():
            self.now += 1
            self.chance.choice(steps)()

    def living(self, system: str) -> list[Row]:
        """The rows that are there."""
        return [row for row in self.rows[system].values() if not row.gone]

    def _steps(self) -> list[Any]:
        steps: list[Any] = [self._person] if self.acts else []
        steps += [self._tell] if self.told else []
        steps += [self._read] if self.hints else []
        steps += [self._report] if self.reports else []
        return steps + [lambda system=system: self._write(system) for system in self.writes]

    # -- people

    def _person(self) -> None:
        self.acts -= 1
        row = self.rows["salesforce"]["salesforce-1"]
        if self.both and self.chance.random() < 0.2 and (there := self.living("dynamics")):
            self._end("dynamics", self.chance.choice(there))
        elif self.chance.random() < 0.4 and (there := self.living("dynamics")):
            self._set("dynamics", self.chance.choice(there), {"phone": str(self.now)}, "update")
        elif row.gone:
            row.gone = False
            self._set("salesforce", row, {}, "undelete", whole=True)
        elif self.chance.random() < 0.6:
            self._end("salesforce", row)
        else:
            self._set("salesforce", row, {"name": f"n{self.now}"}, "update")

    # -- systems

    def _make(self, system: str) -> Row:
        self.made += 1
        native = f"{system}-{self.made}"
        return self.rows[system].setdefault(native, Row(native))

    def _end(self, system: str, row: Row, *, ours: bool = False) -> None:
        row.gone, row.at = True, self.now
        self._set(system, row, {}, "delete", ours=ours)

    def _set(
        self, system: str, row: Row, values: dict[str, Any], operation: Any, *, ours: bool = False, whole: bool = False
    ) -> None:
        row.version += 1
        row.values.update(values)
        if system == "dynamics":
            self.hints.append(row.native)
            return
        told = row.values if whole else values
        self.told.append(self._change(system, row, dict(told), f"{row.version:020d}", operation, tagged=ours))

    def _change(
        self, system: str, row: Row, told: dict[str, Any], version: str, operation: Any, *, tagged: bool | None
    ) -> Linked:
        return Linked(
            system=system,
            native_id=row.native,
            entity="account",
            canonical="c1",
            operation=operation,
            fields=told,
            cleared=(),
            version=version,
            changed_at=f"{self.now if operation != 'delete' or tagged is not None else row.at:06d}",
            change_id=f"{system}{row.native}{version}{operation}",
            correlation="c",
            tagged=tagged,
            row=tagged is None and operation != "delete",
        )

    def _tell(self) -> None:
        number = self.chance.randrange(len(self.told))
        again = self.chance.random() < 0.2
        self._take(self.told[number] if again else self.told.pop(number))

    def _read(self) -> None:
        row = self.rows["dynamics"][self.hints.pop(0)]
        row.read = row.read if row.gone else row.version  # who reads that it is gone knows of no newer version
        version = f"{row.read:020d}" + (".deleted" if row.gone else "")
        operation = "delete" if row.gone else "update"
        self._take(self._change("dynamics", row, dict(row.values), version, operation, tagged=None))

    # -- we

    def _take(self, item: Linked | Report) -> None:
        held = None if self.golden is None else GOLDEN.decode(encode(self.golden))
        folded = fold(held, item, self.mapping)
        self.golden = folded.state
        self.events += [folded.event.kind] if folded.event else []
        for write in folded.writes:
            self.asked += 1
            self.writes[write.system] = write

    def _report(self) -> None:
        self._take(self.reports.pop(0))

    def _write(self, system: str) -> None:
        write = self.writes.pop(system)
        row = self._found(system, write)
        stale = (
            system == "dynamics"
            and write.native_id is not None
            and row is not None
            and write.known_version != f"{row.version:020d}"
        )
        if write.action == "delete" and not stale:
            if row is not None:
                self._end(system, row, ours=True)
            self._answer(write, write.native_id, write.known_version)
        elif stale or (row is None and write.native_id is not None):
            if system == "dynamics":
                self.hints.append(str(write.native_id))
            self._answer(write, write.native_id, write.known_version, "refused")
        else:
            self._set_ours(system, write, row or self._make(system))

    def _found(self, system: str, write: DesiredWrite) -> Row | None:
        if write.native_id is not None:
            row = self.rows[system][write.native_id]
            return None if row.gone else row
        return next((row for row in self.living(system) if row.linked), None)

    def _set_ours(self, system: str, write: DesiredWrite, row: Row) -> None:
        row.active = {"deactivate": False, "reactivate": True}.get(write.action, row.active)
        row.linked = write.action != "unlink"
        self._set(system, row, dict(write.fields), "update", ours=True)
        row.read = row.read or row.version
        self._answer(write, row.native, f"{row.version:020d}" if system == "dynamics" else None)

    def _answer(self, write: DesiredWrite, native: str | None, version: str | None, outcome: Any = "written") -> None:
        told = (
            write.system,
            native or "",
            "c1",
            "account",
            write.revision,
            outcome,
            version,
            write.fields,
            write.action,
        )
        self.reports.append(Report(*told))
