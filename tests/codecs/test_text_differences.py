"""A text told as a difference: what comes of it is the text whose hash was told, or nothing."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codecs.text_differences import applied
from isthmus.simulators.salesforce.differences import unified

# A line may look like a diff's own, and hold what only Unicode calls a line end.
line = st.text(st.sampled_from("ab-+@\\ \x0b\x85\u2028ü"), max_size=4)
lines = st.lists(line, max_size=12)
ends = st.sampled_from(["\n", "\r\n"])


@given(lines, lines, ends)
def test_a_difference_applied_to_the_text_before_gives_the_text_after(old: list[str], new: list[str], end: str) -> None:
    before, after = end.join(old), end.join(new)
    assert applied(before, unified(before, after)) == after


@given(lines, lines, lines)
def test_a_difference_applied_to_another_text_gives_the_right_one_or_none(
    old: list[str], new: list[str], other: list[str]
) -> None:
    after = "\n".join(new)
    assert applied("\n".join(other), unified("\n".join(old), after)) in (after, None)


@given(st.text(), st.text())
def test_no_text_as_a_difference_raises(known: str, difference: str) -> None:
    assert applied(known, difference) is None


@given(st.text(st.sampled_from("ab\n"), max_size=8), st.text(st.sampled_from("@@ -+,0123\nab"), max_size=40))
def test_no_hunk_raises_whatever_it_says(known: str, hunks: str) -> None:
    wanted = sha256(b"nowhere").hexdigest()
    assert applied(known, f"--- \n+++ {wanted}\n@@ {hunks}") is None


def difference(new: str, *hunks: str) -> str:
    return "\n".join(["--- ", f"+++ {sha256(new.encode()).hexdigest()}", *hunks])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_end_as_the_hash_says_whatever_ends_we_know(end: str) -> None:
    new = "a\r\nC\r\nd"
    assert applied(end.join(["a", "b", "d"]), difference(new, "@@ -2,1 +2,1 @@", "-b", "+C")) == new


def test_hunks_may_have_lines_that_stay_and_leave_out_a_count_of_one() -> None:
    new = "a\nC\nd\ne\nf"
    assert (
        applied("a\nb\nd\ne", difference(new, "@@ -1,3 +1,3 @@ x", " a", "-b", "+C", " d", "@@ -4 +4,2 @@", " e", "+f"))
        == new
    )


def test_a_text_that_is_known_already_is_that_text() -> None:
    assert applied("a\nC", difference("a\nC", "@@ -2,1 +2,1 @@", "-b", "+C")) == "a\nC"


@pytest.mark.parametrize(
    "hunks",
    [
        ("@@ -2,1 +2,1 @@", "-x", "+C"),
        ("@@ -9,1 +9,1 @@", "-b", "+C"),
        ("@@ -2,1 +2,1 @@", "-b"),
        ("@@ -0,1 +2,1 @@", "-b", "+C"),
        ("@@ -2,1 +2,1 @@", "-b", "+D"),
        ("@@ -2,1 +2,1 @@", "-b", "+C", "@@ -1,1 +1,1 @@", "-a", "+a"),
        (),
    ],
)
def test_what_does_not_fit_gives_nothing(hunks: tuple[str, ...]) -> None:
    assert applied("a\nb", difference("a\nC", *hunks)) is None


def test_a_difference_without_a_hash_gives_nothing() -> None:
    assert applied("a", "--- \n+++ \n@@ -1,1 +1,1 @@\n-a\n+b") is None
