"""The marker decides what is next, what is a repeat, and what proves a hole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from isthmus.codecs.frames import Stamp
from isthmus.tables.marker import Marker, Verdict


def test_the_first_frame_of_an_origin_is_number_zero() -> None:
    assert Marker().judge("in", 17, Stamp("intake-0", 0)) is Verdict.NEXT
    assert Marker().judge("in", 17, Stamp("intake-0", 1)) is Verdict.HOLE


def test_each_origin_counts_for_itself() -> None:
    marker = Marker()
    marker.done("in", 3, Stamp("intake-0", 0))
    assert marker.judge("in", 4, Stamp("intake-1", 0)) is Verdict.NEXT
    assert marker.judge("in", 4, Stamp("intake-0", 0)) is Verdict.REPEAT
    assert marker.judge("in", 4, Stamp("intake-0", 2)) is Verdict.HOLE


def test_a_record_without_a_stamp_is_numbered_by_its_offset() -> None:
    marker = Marker()
    assert marker.judge("hints", 0, None) is Verdict.NEXT
    marker.done("hints", 0, None)
    assert marker.judge("hints", 0, None) is Verdict.REPEAT
    assert marker.judge("hints", 2, None) is Verdict.HOLE


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5)), max_size=30))
def test_what_was_stored_is_what_is_read(steps: list[tuple[str, int]]) -> None:
    marker = Marker()
    for offset, (origin, number) in enumerate(steps):
        marker.done("in", offset, Stamp(origin, number))
        marker.next_number("out", number)
        marker.count({"salesforce/account": {"received": 1}})
    assert Marker.load(marker.dump()) == marker


@given(st.permutations(range(6)))
def test_whatever_is_delivered_only_the_next_number_is_taken(order: list[int]) -> None:
    marker, taken = Marker(), []
    for _ in range(6):
        for number in order:
            stamp = Stamp("merge-1", number)
            if marker.judge("in", number, stamp) is Verdict.NEXT:
                marker.done("in", number, stamp)
                taken.append(number)
    assert taken == list(range(6))
