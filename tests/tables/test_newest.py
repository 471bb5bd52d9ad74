"""tables/newest.py: the newest values at hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.tables.newest import Newest

SIZE = 4
UNITS = st.lists(st.dictionaries(st.integers(0, 20).map(lambda n: b"%d" % n), st.none() | st.integers(), max_size=6))


def test_the_newest_values_are_at_hand_and_old_ones_are_forgotten() -> None:
    newest = Newest(SIZE)
    for number in range(20):
        newest.keep({b"%d" % number: number})
    assert [newest.get(b"%d" % number) for number in range(20)][-SIZE:] == [16, 17, 18, 19]
    assert [newest.get(b"%d" % number) for number in range(20 - 2 * SIZE)] == [None] * (20 - 2 * SIZE)


def test_a_value_that_was_deleted_does_not_come_back_from_before() -> None:
    newest = Newest(1)
    newest.keep({b"a": 1})
    newest.keep({b"a": None})
    assert newest.get(b"a") is None


@given(UNITS)
def test_what_is_at_hand_is_what_the_table_holds(units: list[dict[bytes, int | None]]) -> None:
    newest, table = Newest(SIZE), dict[bytes, int | None]()
    for unit in units:
        newest.keep(unit)
        table |= unit
        assert all(newest.get(key) in (None, value) for key, value in table.items())
        assert all(newest.get(key) == value for key, value in unit.items())


@pytest.mark.parametrize("put", [True, False])
def test_however_many_are_read_or_written_few_are_held(put: bool) -> None:
    newest, unit = Newest(SIZE), 3
    for first in range(0, 300, unit):
        some = {b"%d" % number: number for number in range(first, first + unit)}
        if put:
            newest.keep(some)
        else:
            for key, value in some.items():
                newest.add(key, value)
        assert len(newest) <= 2 * SIZE + unit
        assert [newest.get(key) for key in some] == list(some.values())
