"""What the dedup table remembers of a record."""

from __future__ import annotations

from hashlib import blake2b

from isthmus.codecs.frames import encode
from isthmus.tables.dedup import DEDUP, DIGEST, KEPT, Recent


def test_a_change_is_recognised_when_it_comes_again() -> None:
    recent = Recent()
    assert recent.note("a")
    assert recent.note("b")
    assert not recent.note("a")
    assert recent.note("c")


def test_only_so_many_change_ids_are_kept() -> None:
    recent = Recent()
    for number in range(KEPT + 1):
        assert recent.note(str(number))
    assert len(recent.ids) == KEPT * DIGEST
    assert not recent.note("1")
    assert recent.note("0")


def test_a_digest_found_across_two_others_is_none() -> None:
    digest = blake2b(b"x", digest_size=DIGEST).digest()
    recent = Recent(b"1234" + digest + b"5678")
    assert recent.note("x")
    assert not recent.note("x")


def test_a_gap_stays_open_until_its_own_re_read_fills_it() -> None:
    recent = Recent()
    recent.open_gap("g1")
    recent.open_gap("g2")
    assert recent.fill_gap("g1")
    assert not recent.fill_gap("g1")
    assert not recent.fill_gap(None)
    assert DEDUP.decode(encode(recent)) == recent == Recent(b"", ("g2",))
