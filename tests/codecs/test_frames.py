"""Frames hold what they were given, in order, and no more than they may."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codecs.frames import Broken, Elements, Stamp, encode, frames_of, stamp_of
from isthmus.config.errors import DecodeError


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1), st.integers(10, 200))
def test_framing_loses_and_reorders_nothing_and_keeps_the_limit(texts: list[str], limit: int) -> None:
    frames = list(frames_of(texts, limit))
    assert [element for frame in frames for element in Elements(str).decode(frame, "here")] == texts
    assert all(len(frame) <= max(limit, 2 + max(len(encode(text)) for text in texts)) for frame in frames)


def test_one_broken_element_does_not_take_its_neighbours_along() -> None:
    first, broken, last = Elements(int).decode(b'[1, "two" ,3]', "merge/7")
    assert (first, last) == (1, 3)
    assert isinstance(broken, Broken)
    assert broken.raw.strip() == b'"two"'
    assert "merge/7[1]" in str(broken.fault)


def test_a_stamp_survives_the_headers() -> None:
    stamp = Stamp("intake-3", 17)
    assert stamp_of(stamp.headers()) == stamp
    assert stamp_of([("other", b"x")]) is None
    assert stamp_of([("origin", b"o"), ("number", b"\xffone")]) is None
    assert stamp_of([("origin", b"\xff"), ("number", b"1")]) is None
    assert stamp_of([("origin", None), ("number", b"1")]) is None  # type: ignore[list-item]
    assert stamp_of(None) is None


@pytest.mark.parametrize("value", [b"", b"{}", b"[1,", b"\xff"])
def test_bytes_that_are_no_frame_are_an_error_that_names_the_place(value: bytes) -> None:
    with pytest.raises(DecodeError, match="merge/7"):
        Elements(int).decode(value, "merge/7")
