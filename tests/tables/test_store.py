"""A table partition in real RocksDB."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from rocksdict import DBCompressionType, Options, Rdict

from isthmus.tables.store import LARGEST_ROOM, POSITION, ROOM_BYTES, Store, rooms, shared_cache
from isthmus.tables.unit import Table


def test_values_and_position_are_there_after_reopening(tmp_path: Path) -> None:
    store = Store(tmp_path / "t", shared_cache(1 << 20))
    assert store.position is None
    store.apply({b"a": b"1", b"b": b"2", b"gone": b"x"}, 4)
    store.apply({b"gone": None}, 7)
    store.close()
    again = Store(tmp_path / "t", shared_cache(1 << 20))
    assert (again.get(b"a"), again.get(b"gone"), again.position) == (b"1", None, 7)
    again.close()


def test_what_waits_for_rocksdb_is_read_and_scanned(tmp_path: Path) -> None:
    store = Store(tmp_path / "t", shared_cache(1 << 20))
    store.apply({b"a": b"1", b"b": b"1"}, 1)
    assert list(store.scan()) == [(b"a", b"1"), (b"b", b"1")]
    store.apply({b"a": None, b"b": b"2", b"c": b"2"}, 2)
    assert (store.get(b"a"), store.get(b"b"), store.get(b"c"), store.position) == (None, b"2", b"2", 2)
    assert list(store.scan()) == [(b"b", b"2"), (b"c", b"2")]
    store.close()


def test_what_is_put_again_and_again_is_given_to_rocksdb_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "t", shared_cache(1 << 20))
    for number in range(200):
        store.apply({b"key": b"%d" % number * 10_000}, number)
    list(store.scan())
    assert store._db.property_int_value("rocksdb.num-entries-active-mem-table") == 2  # it, and the position
    store.close()


def test_what_was_given_to_rocksdb_goes_to_a_file_and_not_only_with_the_next(tmp_path: Path) -> None:
    store = Store(tmp_path / "t", shared_cache(1 << 20), room=1 << 20)
    number = 0
    while not number or store._waiting:
        store.apply({b"%d" % number: b"v" * 1000}, number)
        number += 1
    assert store._db.property_int_value("rocksdb.num-entries-active-mem-table") == 0
    store.close()


def test_a_store_that_held_nothing_opens_again(tmp_path: Path) -> None:
    Store(tmp_path / "t", shared_cache(1 << 20)).close()
    again = Store(tmp_path / "t", shared_cache(1 << 20))
    assert again.position is None
    again.close()


def test_what_waited_is_as_old_as_when_it_was_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "t", shared_cache(1 << 20))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 30 * 3600)
    store.apply({b"a": b"1"}, 4)
    monkeypatch.undo()
    store.close()
    anew = Store(tmp_path / "t", shared_cache(1 << 20))
    assert (anew.get(b"a"), anew.position) == (None, None)
    anew.close()


@pytest.mark.parametrize("value", [b"v" * 1000, b"", None], ids=["values", "empty ones", "deletions"])
def test_what_waits_has_a_bound(tmp_path: Path, value: bytes | None) -> None:
    room = 1 << 20
    store = Store(tmp_path / "t", shared_cache(1 << 20), room=room)
    for number in range(20_000):
        store.apply({b"%d" % number: value}, number)
        if number % 500 == 0:
            waiting = [len(key) + len(value or b"") for key, value in store._waiting.items()]
            assert sum(waiting) <= room
            assert len(waiting) <= 8000
    assert store.get(b"0") == value
    store.close()


def test_a_position_that_moves_without_values_is_there_after_reopening(tmp_path: Path) -> None:
    store = Store(tmp_path / "t", shared_cache(1 << 20))
    store.apply({}, 7)
    store.close()
    again = Store(tmp_path / "t", shared_cache(1 << 20))
    assert again.position == 7
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
    store.apply({b"500": b"new"}, 8)
    store.close()
    again = Store(tmp_path / "t", shared_cache(1 << 20))
    assert (again.get(b"500"), again.get(b"501"), again.position) == (b"new", b"value " * 100, 8)
    again.close()


def test_a_scan_gives_a_prefix_in_order_and_never_the_position(tmp_path: Path) -> None:
    store = Store(tmp_path / "t", shared_cache(1 << 20))
    store.apply({b"b2": b"2", b"b1": b"1", b"a": b"0", b"c": b"3"}, 0)
    assert list(store.scan(b"b")) == [(b"b1", b"1"), (b"b2", b"2")]
    assert [key for key, _ in store.scan()] == [b"a", b"b1", b"b2", b"c"]
    store.close()


def test_a_store_older_than_what_a_changelog_remembers_of_deletions_begins_anew(tmp_path: Path) -> None:
    store = Store(tmp_path / "t", shared_cache(1 << 20))
    store.apply({b"a": b"1"}, 4)
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
store = Store(Path(sys.argv[1]), shared_cache(1 << 20), room=16 << 20)
for number in range(10**9):
    store.apply({b"n": str(number).encode(), str(number).encode(): b"x" * 2000}, number)
    if number % 1000 == 0:
        print(number, flush=True)
"""


def test_a_store_killed_while_it_writes_is_never_ahead_of_or_torn_against_its_position(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "t")], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < 20_000:  # beyond its room, so that something was flushed
            pass
        writer.kill()
    store = Store(tmp_path / "t", shared_cache(1 << 20))
    assert store.position is not None
    assert store.get(b"n") == str(store.position).encode()
    assert store.get(str(store.position).encode()) is not None
    assert store.get(str(store.position + 1).encode()) is None
    store.close()


FULL = """
import os
import resource
import sys
from pathlib import Path
from isthmus.tables.store import Store, StoreError, shared_cache
store = Store(Path(sys.argv[1]), shared_cache(1 << 20), room=1 << 20)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
def fill(number):
    store.apply({str(number).encode(): b"x" * 2000}, number)
def scan(number):
    fill(number)
    list(store.scan())
for number in range(10**5):
    try:
        (fill if sys.argv[2] == "apply" else scan)(number)
    except StoreError as fault:
        print(fault.code, store.get(b"0") == b"x" * 2000, flush=True)
        os._exit(0)  # what waits cannot be written, so the store cannot be closed
"""


@pytest.mark.parametrize("when", ["apply", "scan"])
def test_a_disk_that_takes_no_more_is_the_fault_of_the_store_and_of_nobody_who_scans_it(
    tmp_path: Path, when: str
) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path / "t"), when], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("STORE True\n", 0)


@pytest.mark.parametrize("partitions", [1, 4, 64, 512])
def test_what_a_worker_holds_in_no_file_stays_within_its_bound_with_thousands_of_stores(partitions: int) -> None:
    tables = [Table[int]("large", int, as_bytes=True), *(Table[int](f"small {number}", int) for number in range(7))]
    sizes = rooms(tables, partitions)
    assert partitions * sum(sizes.values()) <= ROOM_BYTES
    assert min(sizes.values()) <= sizes["large"] <= LARGEST_ROOM
    assert rooms(tables[:1], 1) == {"large": LARGEST_ROOM}
