"""A table partition in real RocksDB."""

from __future__ import annotations

from pathlib import Path

from isthmus.tables.store import Store, shared_cache


def test_values_and_position_are_there_after_reopening(tmp_path: Path) -> None:
    store = Store(tmp_path / "t", shared_cache(1 << 20))
    assert store.position is None
    store.apply([(b"a", b"1"), (b"b", b"2"), (b"gone", b"x")], 4)
    store.apply([(b"gone", None)], 7)
    store.close()
    again = Store(tmp_path / "t", shared_cache(1 << 20))
    assert (again.get(b"a"), again.get(b"gone"), again.position) == (b"1", None, 7)
    again.close()


def test_a_scan_gives_a_prefix_in_order_and_never_the_position(tmp_path: Path) -> None:
    store = Store(tmp_path / "t", shared_cache(1 << 20))
    store.apply([(b"b2", b"2"), (b"b1", b"1"), (b"a", b"0"), (b"c", b"3")], 0)
    assert list(store.scan(b"b")) == [(b"b1", b"1"), (b"b2", b"2")]
    assert [key for key, _ in store.scan()] == [b"a", b"b1", b"b2", b"c"]
    store.close()
