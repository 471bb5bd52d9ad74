"""node/packing.py, transaction.py and writer.py: what several lanes want written together, as it goes over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given
from hypothesis import strategies as st

from isthmus.node.packing import Cargo, Target
from isthmus.node.parcel import Parcel
from isthmus.node.transaction import SEQUENCES, batches_of
from isthmus.node.writer import last_of

TARGETS: tuple[Target, ...] = (("a", 0), ("a", 1))
# Of a lane by target: how many entries, and how many records each of its parcels has.
Load = dict[Target, tuple[int, list[int]]]
LOADS = st.dictionaries(st.sampled_from(TARGETS), st.tuples(st.integers(0, 3), st.lists(st.integers(1, 3), max_size=2)))


class Names:
    """Every record has a key of its own; `last`: the newest by target."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self.last: dict[Target, bytes] = {}
        self._numbers = numbers

    def next(self, target: Target) -> bytes:
        """The next record's."""
        self.last[target] = b"%d" % next(self._numbers)
        return self.last[target]


def cargo_of(load: Load, names: Names) -> Cargo:
    """A lane's cargo."""
    cargo = Cargo()
    for target, (entries, parcels) in load.items():
        if entries:
            cargo.entries[target] = [(names.next(target), b"", []) for _ in range(entries)]
        for records in parcels:
            parcel = Parcel()
            for _ in range(records):
                parcel.add(names.next(target), b"", [])
            cargo.parcels.setdefault(target, []).append(parcel)
    return cargo


def written(cargo: Cargo, target: Target, sequence: int) -> list[bytes]:
    """The keys that a consumer reads, by number."""
    keys: list[bytes] = []
    for batch in batches_of(target, cargo, (7, 2), sequence):
        records = DefaultRecordBatch(batch.value)
        assert (batch.first, records.base_sequence) == (len(keys), (sequence + len(keys)) % SEQUENCES)
        keys += [record.key for record in records]
        assert batch.first + batch.records == len(keys)
    return keys


@given(st.lists(LOADS, min_size=1, max_size=3), st.sampled_from([0, 5, SEQUENCES - 2]))
def test_all_that_lanes_want_written_is_and_each_knows_its_last_record(loads: list[Load], sequence: int) -> None:
    numbers = count()
    lanes = [Names(numbers) for _ in loads]
    cargos, together = [cargo_of(load, names) for load, names in zip(loads, lanes, strict=True)], Cargo()
    for cargo in cargos:
        together.add(cargo)
    keys = {target: written(together, target, sequence) for target in TARGETS}
    assert sorted(int(key) for some in keys.values() for key in some) == list(range(next(numbers)))
    for names, last in zip(lanes, last_of(cargos), strict=True):
        assert {target: keys[target][number] for target, number in last.items()} == names.last
