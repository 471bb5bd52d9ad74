"""Which of several writes goes first, and which belong together."""

from __future__ import annotations

from isthmus.systems.protocol import Reference, Write
from isthmus.systems.waves import families, waves


def to(key: str, *of: str) -> Write:
    return Write("account", key, None, {}, references={f"x{n}": Reference("account", one) for n, one in enumerate(of)})


def test_what_is_referred_to_comes_first_and_each_once() -> None:
    assert waves([to("1", "2"), to("2", "3", "9"), to("3"), to("4")]) == [[2, 3], [1], [0]]


def test_a_circle_of_references_ends() -> None:
    one = Write("account", "1", None, {}, references={"x": Reference("account", "2")})
    two = Write("account", "2", None, {}, references={"x": Reference("account", "1")})
    assert sorted(number for wave in waves([one, two]) for number in wave) == [0, 1]


def test_a_record_and_what_points_to_it_are_a_family_in_the_order_of_the_waves() -> None:
    assert sorted(families([to("1", "2"), to("2", "3", "9"), to("3"), to("4"), to("5", "4")])) == [[2, 1, 0], [3, 4]]


def test_whoever_needs_nobody_is_a_family_of_one() -> None:
    known = Write("account", "9", "id", {})
    assert sorted(families([to("1", "9"), known, to("2")])) == [[0], [1], [2]]
