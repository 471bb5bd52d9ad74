"""The generator: what two systems tell of their records, made up from a seed.

Promises: pure; the same seed and number give the same deliveries, each found by its position, so that a stream goes on
after any of them. The first delivery of a record is its creation and carries its match key; later ones come twice, come
late (an older version after a newer one), delete and bring back. Values are unlike across systems, records and versions,
so that no change can be taken for the echo of a write, whenever that write was made. What is cleared is therefore only
what the other system never speaks of.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any

from isthmus.codecs.change import Change, Operation
from isthmus.config.mapping import load_mappings
from isthmus.systems.protocol import Delivery

SYSTEMS = ("salesforce", "dynamics")
STEPS = 8  # deliveries a record; half of them in the first half of the run, half in the second
COHORT = 40  # records whose deliveries alternate
ZERO = datetime(2026, 1, 1, tzinfo=UTC)
NATIVE_IDS = uuid.UUID("3d3f9c52-7e0c-5c1b-8f57-1a57b0d0c4a0")
MAPPINGS = load_mappings()
MATCH = {"account": "account_number", "contact": "email"}
NUMBERS = {"employees"}
ALTERNATE = {"salesforce": 0, "dynamics": 1}


def native_id(system: str, match: str) -> str:
    """The id that a system gives the record with this match key, also where we ask it to make one."""
    digest = uuid.uuid5(NATIVE_IDS, f"{system}:{match}")
    return str(digest) if system == "dynamics" else f"001{digest.hex[:15].upper()}"


@dataclass(frozen=True)
class Deliveries(Sequence[Delivery]):
    """The whole stream of one system: `self[i]` has position `str(i)`."""

    system: str
    seed: int
    number: int

    @property
    def records(self) -> int:
        """How many records it tells of."""
        return max(1, self.number // STEPS)

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(self.number))]
        if not 0 <= index < self.number:
            raise IndexError(index)
        record, step = self._place(index)
        return Delivery((script(self.seed, self.system, record)[step],), str(index), b"")

    def _place(self, index: int) -> tuple[int, int]:
        """Which delivery of which record stands here; what is over at the end tells of creations once more."""
        if index >= self.records * STEPS:
            return index % self.records, 0
        half, rest = divmod(index, self._half)
        cohort, rest = divmod(rest, COHORT * STEPS // 2)
        size = min(COHORT, self.records - cohort * COHORT)
        turn, slot = divmod(rest, size)
        step = half * (STEPS // 2) + turn
        return cohort * COHORT + (slot + step * 13) % size, step

    @cached_property
    def _half(self) -> int:
        return self.records * STEPS // 2


def deliveries(system: str, seed: int, number: int) -> Deliveries:
    """The first `number` deliveries of a system."""
    return Deliveries(system, seed, number)


@lru_cache(maxsize=4 * COHORT)
def script(seed: int, system: str, record: int) -> tuple[Change, ...]:
    """What is delivered of one record, in the order of delivery."""
    chance = random.Random(f"{seed}/{system}/{record}")
    told = list(_changes(chance, seed, system, record))
    for first in range(1, STEPS - 1, 2):
        if chance.random() < 0.2:
            told[first], told[first + 1] = told[first + 1], told[first]
    for step in range(1, STEPS):
        if chance.random() < 0.12:
            told[step] = told[chance.choice((step - 1, step - 1, 0))]
    return tuple(told)


def _changes(chance: random.Random, seed: int, system: str, record: int) -> Iterator[Change]:
    deleted = False
    for version in range(STEPS):
        last = version == STEPS - 1
        operation: Operation = "create" if version == 0 else "undelete" if deleted else "update"
        if operation == "update" and chance.random() < (0.2 if last else 0.05):
            operation = "delete"
        deleted = operation == "delete"
        yield _change(chance, seed, system, record, version, operation)


def _change(chance: random.Random, seed: int, system: str, record: int, version: int, operation: Operation) -> Change:
    entity, match = entity_of(record), match_of(seed, system, record)
    mapping = MAPPINGS.entities[entity].systems[system]
    values = {} if operation == "delete" else _values(chance, seed, entity, system, record, version)
    if version == 0:
        values[MATCH[entity]] = match
    when = ZERO + timedelta(seconds=version * 1000 + chance.randrange(1500), milliseconds=ALTERNATE[system])
    native = native_id(system, match)
    return Change(
        system=system,
        entity=mapping.object,
        record_id=native,
        operation=operation,
        fields={mapping.fields[name]: value for name, value in values.items() if value is not None},
        cleared=tuple(mapping.fields[name] for name, value in values.items() if value is None),
        version=f"{version:06d}",
        changed_at=when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        transaction=None,
        origin=None,
        change_id=f"{system}:{native}@{version}",
    )


def _values(chance: random.Random, seed: int, entity: str, system: str, record: int, version: int) -> dict[str, Any]:
    """Canonical fields and their new values."""
    free = [name for name in MAPPINGS.entities[entity].fields if name != MATCH[entity]]
    if system == "salesforce":
        free = [name for name in free if name != "credit_limit"]
    else:
        # What both point at would be one record, whoever said so: an echo could not be told from a change.
        free = [name for name in free if name not in MAPPINGS.entities[entity].references]
    values: dict[str, Any] = {}
    for name in sorted(chance.sample(free, chance.randint(1, 4))):
        text = f"{name} {system[0]}{record}.{version}"
        values[name] = (record * STEPS + version) * 2 + ALTERNATE[system] if name in NUMBERS else text
        if name in MAPPINGS.entities[entity].references:
            values[name] = native_id(system, match_of(seed, system, record - 1 - version % 2))
        if name == "credit_limit":
            values[name] = None if chance.random() < 0.3 else f"{record}.{version:02d}"
    return values


def entity_of(record: int) -> str:
    """A third are contacts."""
    return "contact" if record % 3 == 2 else "account"


def match_of(seed: int, system: str, record: int) -> str:
    """Its match key: most records stand in both systems under the same one."""
    both = random.Random(f"{seed}/both/{record}").random() < 0.6
    key = f"{record}" if both else f"{system[0]}-{record}"
    return f"p{key}@example.com" if entity_of(record) == "contact" else f"A-{key}"
