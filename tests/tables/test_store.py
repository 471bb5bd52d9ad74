"""A table partition in real RocksDB."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rocksdict import DBCompressionType, Options, Rdict

from isthmus.tables.store import BUFFERS_BYTES, LARGEST_BUFFER, POSITION, Store, buffers, shared_cache
from isthmus.tables.unit import Table


def test_values_and_position_are_there_after_reopening(tmp_path: Path) -> None:
    store = Store(tmp_path / "t", shared_cache(1 << 20))
    assert store.position is None
    store.apply([(b"a", b"1"), (b"b", b"2"), (b"gone", b"x")], 4)
    store.apply([(b"gone", None)], 7)
    store.close()
    again = Store(tmp_path / "t", shared_cache(1 << 20))
    assert (again.get(b"a"), again.get(b"gone"), again.position) == (b"1", None, 7)
    again.close()


def test_a_store_that_was_compressed_otherwise_is_read_on(tmp_path: Path) -> None:
    options = Options(raw_mode=True)
    options.set_compression_type(DBCompressionType.snappy())
    former = Rdict(str(tmp_path / "t"), options=options)
    for number in range(1000):
        former[b"%d" % number] = b"value " * 100
    former[POSITION] = b"7 9999999999"
    former.flush()
    former.close()
    store = Store(tmp_path / "t", shared_cache(1 << 20))
    assert (store.get(b"500"), store.position) == (b"value " * 100, 7)
    store.apply([(b"500", b"new")], 8)
    store.close()
    again = Store(tmp_path / "t", shared_cache(1 << 20))
    assert (again.get(b"500"), again.get(b"501"), again.position) == (b"new", b"value " * 100, 8)
    again.close()


def test_a_scan_gives_a_prefix_in_order_and_never_the_position(tmp_path: Path) -> None:
    store = Store(tmp_path / "t", shared_cache(1 << 20))
    store.apply([(b"b2", b"2"), (b"b1", b"1"), (b"a", b"0"), (b"c", b"3")], 0)
    assert list(store.scan(b"b")) == [(b"b1", b"1"), (b"b2", b"2")]
    assert [key for key, _ in store.scan()] == [b"a", b"b1", b"b2", b"c"]
    store.close()


def test_a_store_older_than_what_a_changelog_remembers_of_deletions_begins_anew(tmp_path: Path) -> None:
    store = Store(tmp_path / "t", shared_cache(1 << 20))
    store.apply([(b"a", b"1")], 4)
    store.close()
    kept = Store(tmp_path / "t", shared_cache(1 << 20))
    assert (kept.get(b"a"), kept.position) == (b"1", 4)
    kept.close()
    anew = Store(tmp_path / "t", shared_cache(1 << 20), stale_after=-1)
    assert (anew.get(b"a"), anew.position) == (None, None)
    anew.close()


WRITER = """
import sys
import subprocess
import sys
from pathlib import Path
from isthmus.tables.store import Store, shared_cache
store = Store(Path(sys.argv[1]), shared_cache(1 << 20), buffer=8 << 20)
for number in range(10**9):
    store.apply([(b"n", str(number).encode()), (str(number).encode(), b"x" * 2000)], number)
    if number % 1000 == 0:
        print(number, flush=True)
"""


def test_a_store_killed_while_it_writes_is_never_ahead_of_or_torn_against_its_position(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "t")], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < 12_000:  # beyond one write buffer, so that something was flushed
            pass
        writer.kill()
    store = Store(tmp_path / "t", shared_cache(1 << 20))
    assert store.position is not None
    assert store.get(b"n") == str(store.position).encode()
    assert store.get(str(store.position).encode()) is not None
    assert store.get(str(store.position + 1).encode()) is None
    store.close()


@pytest.mark.parametrize("partitions", [1, 4, 64, 512])
def test_the_write_buffers_of_a_worker_stay_within_their_bound_with_thousands_of_stores(partitions: int) -> None:
    tables = [Table[int]("large", int, as_bytes=True), *(Table[int](f"small {number}", int) for number in range(7))]
    sizes = buffers(tables, partitions)
    assert 2 * partitions * sum(sizes.values()) <= BUFFERS_BYTES
    assert min(sizes.values()) <= sizes["large"] <= LARGEST_BUFFER
    assert buffers(tables[:1], 1) == {"large": LARGEST_BUFFER}
