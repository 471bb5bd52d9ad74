"""Frames hold what they were given, in order, and no more than they may."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codecs.frames import Stamp, decode, split, stamp_of
from isthmus.config.errors import DecodeError


@given(st.lists(st.text(max_size=30)), st.integers(10, 200))
def test_splitting_loses_and_reorders_nothing_and_keeps_the_limit(texts: list[str], limit: int) -> None:
    encoded = [orjson.dumps(text) for text in texts]
    frames = list(split(encoded, limit))
    assert [element for frame in frames for element in decode(frame, "here")] == texts
    assert all(len(frame) <= max(limit, 2 + max(map(len, encoded))) for frame in frames)


def test_a_stamp_survives_the_headers() -> None:
    stamp = Stamp("intake-3", 17)
    assert stamp_of(stamp.headers()) == stamp
    assert stamp_of([("other", b"x")]) is None
    assert stamp_of(None) is None


@pytest.mark.parametrize("value", [b"", b"{}", b"[1,", b"\xff"])
def test_bytes_that_are_no_frame_are_an_error_that_names_the_place(value: bytes) -> None:
    with pytest.raises(DecodeError, match="merge/7"):
        decode(value, "merge/7")
