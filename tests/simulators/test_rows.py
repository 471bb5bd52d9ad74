"""The rows that all simulated platforms are kept in: what comes back, in which order, and what a rollback leaves."""

import contextlib
import sqlite3
from decimal import Decimal
from typing import Any

import pytest

from isthmus.simulators.rows import TRUTH, Database, Form, Rows, folded

Told = dict[str, Any]
MONEY = Form(str, Decimal)


def stamped(stamp: int, values: Told) -> Told:
    return {**values, "at": stamp}


@pytest.fixture
def database() -> Database:
    return Database(100)


@pytest.fixture
def rows(database: Database) -> Rows[Told]:
    return database.table("people", "id", {"name": None, "credit": MONEY, "gone": TRUTH}, stamped)


def test_values_come_back_as_they_went_in_and_what_is_not_named_is_null(rows: Rows[Told]) -> None:
    rows.put("a", {"name": "Ada", "credit": Decimal("1.10")})
    rows.put("b", {"gone": False})
    assert rows["a"] == {"id": "a", "name": "Ada", "credit": Decimal("1.10"), "gone": None, "at": 101}
    assert rows["b"] == {"id": "b", "name": None, "credit": None, "gone": False, "at": 102}
    assert (rows.get("c"), "a" in rows, "c" in rows, len(rows)) == (None, True, False, 2)


def test_a_row_keeps_its_place_and_the_sequence_goes_on_when_it_is_written_again(rows: Rows[Told]) -> None:
    for key in ("b", "a", "b"):
        rows.put(key, {})
    assert list(rows) == ["b", "a"]
    assert [row["id"] for row in rows.whole()] == ["b", "a"]
    assert [row["id"] for row in rows.since(101)] == ["a", "b"], "in the order of their writing"
    assert [row["id"] for row in rows.since(102)] == ["b"]


def test_what_is_undone_was_never_there_and_its_numbers_are_not_given_again(
    database: Database, rows: Rows[Told]
) -> None:
    rows.put("a", {"name": "before"})
    with contextlib.suppress(ZeroDivisionError), database.all_or_none():
        rows.put("a", {"name": "after"})
        rows.put("b", {})
        assert rows["a"]["name"] == "after"
        raise ZeroDivisionError
    assert [row["name"] for row in rows.whole()] == ["before"]
    assert rows.since(101) == []
    assert rows.put("c", {}) == 104, "two numbers were used"


def test_a_step_within_another_is_undone_alone_or_with_it(database: Database, rows: Rows[Told]) -> None:
    with database.all_or_none():
        rows.put("a", {})
        with database.all_or_none() as inner:
            rows.pop("a")
            inner.undo()
        assert list(rows) == ["a"]
    with database.all_or_none() as outer:
        with database.all_or_none():
            rows.pop("a")
        outer.undo()
    assert list(rows) == ["a"]


def test_the_keys_are_right_after_whatever_happened_to_them(database: Database, rows: Rows[Told]) -> None:
    """They are not asked for at each call, so each way in which they change has to be seen."""
    live, gone = rows.among(gone=False), rows.among(gone=True)
    live.put("a", {})
    assert live.keys() == ["a"]
    live.put("b", {})
    assert live.keys() == ["a", "b"]
    with database.all_or_none() as step:
        with database.all_or_none():
            live.put("c", {})
            assert live["c"]["id"] == "c", "read, and so remembered"
        live.pop("a")
        assert live.keys() == ["b", "c"]
        step.undo()
    assert live.keys() == ["a", "b"]
    live.put("c", {})
    assert live.keys() == ["a", "b", "c"], "what was remembered of it was never there"
    gone.put("b", live.pop("b"))
    assert (live.keys(), gone.keys()) == (["a", "c"], ["b"])
    live.put("b", gone.pop("b"))
    assert (live.keys(), gone.keys()) == (["a", "c", "b"], [])
    keys = live.keys()
    keys.clear()
    assert live.keys() == ["a", "c", "b"], "whoever asked may do with the list what they like"


def test_rows_among_others_are_found_and_counted_alone(rows: Rows[Told]) -> None:
    live, gone = rows.among(gone=False), rows.among(gone=True)
    live.put("a", {"name": "x"})
    live.put("b", {"name": "x"})
    gone.put("b", live.pop("b"))
    assert (list(live), list(gone), len(rows)) == (["a"], ["b"], 2)
    assert [row["id"] for row in gone.having("name", "x")] == ["b"]
    with pytest.raises(KeyError):
        live.pop("b")


def test_a_new_column_is_null_in_the_rows_that_were_there(rows: Rows[Told]) -> None:
    rows.put("a", {})
    assert "vip" not in rows["a"]
    rows.add_column("vip", TRUTH)
    assert rows["a"]["vip"] is None
    rows.put("a", {"vip": True})
    assert rows["a"]["vip"] is True


def test_text_that_is_folded_is_the_same_in_any_case_also_where_it_must_be_unique(rows: Rows[Told]) -> None:
    rows.put("a", {"name": "ÖRTEL"})
    assert [row["id"] for row in rows.where(f"{folded('name')} = ?", ("örtel",))] == ["a"]
    rows.index("name", folded("name"), unique=True)
    with pytest.raises(sqlite3.IntegrityError):
        rows.put("b", {"name": "Örtel"})
    rows.put("c", {})
    rows.put("d", {})
    assert list(rows) == ["a", "c", "d"], "null is like no other"
