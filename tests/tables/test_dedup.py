"""What the dedup table remembers of a record."""

from __future__ import annotations

from isthmus.tables.dedup import KEPT, Recent


def test_a_change_is_recognised_when_it_comes_again() -> None:
    recent = Recent().remember("a").remember("b")
    assert recent.seen("a")
    assert not recent.seen("c")


def test_only_so_many_change_ids_are_kept() -> None:
    recent = Recent()
    for number in range(KEPT + 1):
        recent = recent.remember(str(number))
    assert not recent.seen("0")
    assert recent.seen("1")


def test_a_gap_stays_open_until_its_own_re_read_fills_it() -> None:
    recent = Recent().open_gap("g1").open_gap("g2").fill_gap("g1")
    assert recent.gaps == ("g2",)
    assert Recent.from_wire(recent.to_wire()) == recent
