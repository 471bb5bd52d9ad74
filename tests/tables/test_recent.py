"""tables/recent.py: the newest values at hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from isthmus.tables.recent import Recent

SIZE = 4
UNITS = st.lists(st.dictionaries(st.integers(0, 20).map(lambda n: b"%d" % n), st.none() | st.integers(), max_size=6))


def test_the_newest_values_are_at_hand_and_old_ones_are_forgotten() -> None:
    recent = Recent(SIZE)
    for number in range(20):
        recent.keep({b"%d" % number: number})
    assert [recent.get(b"%d" % number) for number in range(20)][-SIZE:] == [16, 17, 18, 19]
    assert [recent.get(b"%d" % number) for number in range(20 - 2 * SIZE)] == [None] * (20 - 2 * SIZE)


def test_a_value_that_was_deleted_does_not_come_back_from_before() -> None:
    recent = Recent(1)
    recent.keep({b"a": 1})
    recent.keep({b"a": None})
    assert recent.get(b"a") is None


@given(UNITS)
def test_what_is_at_hand_is_what_the_table_holds(units: list[dict[bytes, int | None]]) -> None:
    recent, table = Recent(SIZE), dict[bytes, int | None]()
    for unit in units:
        recent.keep(unit)
        table |= unit
        assert all(recent.get(key) in (None, value) for key, value in table.items())
        assert all(recent.get(key) == value for key, value in unit.items())
