"""Frames hold what they were given, in order, and no more than they may."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codecs import frames
from isthmus.codecs.frames import Broken, Elements, Stamp, encode, frames_of, in_turn, stamp_of, turn_of
from isthmus.config.errors import DecodeError


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1), st.integers(10, 200))
def test_framing_loses_and_reorders_nothing_and_keeps_the_limit(texts: list[str], limit: int) -> None:
    frames = list(frames_of(texts, limit))
    assert [element for frame in frames for element in Elements(str).decode(frame, "here")] == texts
    assert all(len(frame) <= max(limit, 2 + max(len(encode(text)) for text in texts)) for frame in frames)


def test_many_elements_fill_the_frames_and_hardly_one_is_encoded_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    monkeypatch.setattr(frames, "encode", lambda elements: encoded.append(len(elements)) or encode(elements))
    texts = [f"{number:098d}" for number in range(5_000)]
    sizes = [len(frame) for frame in frames_of(texts, 200_000)]
    assert sizes[0] > 150_000
    assert len(sizes) == 3
    assert sum(encoded) == len(texts)


def test_one_broken_element_does_not_take_its_neighbours_along() -> None:
    first, broken, last = Elements(int).decode(b'[1, "two" ,3]', "merge/7")
    assert (first, last) == (1, 3)
    assert isinstance(broken, Broken)
    assert broken.raw.strip() == b'"two"'
    assert "merge/7[1]" in str(broken.fault)


@pytest.mark.parametrize("raw", [b'"\xff"', b"[" * 20_000 + b"]" * 20_000], ids=["no UTF-8", "endless"])
def test_an_element_that_cannot_be_read_at_all_is_broken_or_no_frame(raw: bytes) -> None:
    try:
        first, broken, last = Elements(str).decode(b'["one", ' + raw + b', "three"]', "merge/7")
    except DecodeError:
        return
    assert (first, type(broken), last) == ("one", Broken, "three")


def test_a_stamp_survives_the_headers() -> None:
    stamp = Stamp("intake-3", 17)
    assert stamp_of(stamp.headers()) == stamp
    assert stamp_of([("other", b"x")]) is None
    assert stamp_of([("origin", b"o"), ("number", b"\xffone")]) is None
    assert stamp_of([("origin", b"\xff"), ("number", b"1")]) is None
    assert stamp_of([("origin", None), ("number", b"1")]) is None  # type: ignore[list-item]
    assert stamp_of([("origin", b"o"), ("number", None)]) is None  # type: ignore[list-item]
    assert stamp_of([("origin", b"o"), ("number", b"-1")]) is None
    assert stamp_of(None) is None


@pytest.mark.parametrize("value", [b"", b"{}", b"[1,", b"\xff"])
def test_bytes_that_are_no_frame_are_an_error_that_names_the_place(value: bytes) -> None:
    with pytest.raises(DecodeError, match="merge/7"):
        Elements(int).decode(value, "merge/7")


@dataclass(frozen=True)
class Done:
    """A frame as it stands on Kafka; `place` is when it was done."""

    place: int
    headers: list[tuple[str, bytes]]


@given(st.lists(st.sampled_from(["by Kafka", "before", "a stranger's"]), max_size=12), st.randoms())
def test_frames_are_replayed_in_the_order_in_which_they_were_done(ways: list[str], chance: Random) -> None:
    done: list[Done] = []
    for place, way in enumerate(ways):
        stamp = [] if way == "a stranger's" else Stamp("o", place).headers()
        numbered = sum(stamp_of(one.headers) is not None for one in done)
        done.append(Done(place, [*stamp, ("turn", str(numbered).encode())] if way == "before" else stamp))
    log = [one for one in done if turn_of(one.headers) is None]
    for one in done:
        if turn_of(one.headers) is not None:
            log.insert(chance.randint(0, len(log)), one)
    replayed = list(in_turn(log, {turn_of(one.headers) for one in log} - {None}))
    assert sorted(replayed, key=lambda one: one.place) == done
    assert [one for one in replayed if stamp_of(one.headers)] == [one for one in done if stamp_of(one.headers)]
