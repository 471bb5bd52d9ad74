"""node/parcel.py: records as the batches that Kafka takes."""

from __future__ import annotations

from collections.abc import Iterator

from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given
from hypothesis import strategies as st

from isthmus.node.parcel import BATCH_BYTES, Parcel
from isthmus.tables.unit import Headers

Entry = tuple[bytes | None, bytes | None, Headers]
SOME_BYTES = st.none() | st.binary(max_size=20)
HEADERS = st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=3)


def parcel_of(*entries: Entry) -> Parcel:
    """These records, packed."""
    parcel = Parcel()
    for entry in entries:
        parcel.add(*entry)
    return parcel


def read(parcel: Parcel) -> Iterator[Entry]:
    """What a consumer finds in its batches."""
    for number, count in enumerate(parcel.counts):
        batch = DefaultRecordBatch(parcel.close(number, 7, 2, 100 * number))
        assert batch.validate_crc()
        assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (7, 2, 100 * number)
        assert batch.is_transactional
        records = list(batch)
        assert [record.offset for record in records] == list(range(count))
        yield from ((record.key, record.value, list(record.headers)) for record in records)


@given(st.lists(st.tuples(SOME_BYTES, SOME_BYTES, HEADERS)))
def test_a_consumer_reads_what_was_packed_in_its_order(entries: list[Entry]) -> None:
    parcel = parcel_of(*entries)
    assert parcel.records == len(entries)
    assert list(read(parcel)) == entries


def test_a_batch_is_no_larger_than_it_may_be_and_a_larger_record_is_alone() -> None:
    large, small = b"x" * (BATCH_BYTES + 1), b"x" * (BATCH_BYTES // 3)
    entries: list[Entry] = [(b"k", value, []) for value in (small, small, small, large, small)]
    parcel = parcel_of(*entries)
    assert parcel.counts == [2, 1, 1, 1]
    assert parcel.size > sum(len(value or b"") for _, value, _ in entries)
    assert list(read(parcel)) == entries
