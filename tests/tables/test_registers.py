"""The registers of one record, kept by the change that said them."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from isthmus.tables.golden import Golden
from isthmus.tables.registering import find, held_of, put, set_one
from isthmus.tables.registers import Held, Register, Said
from isthmus.tables.showing import hide, hide_all, is_all, speaking

NAMES = st.sampled_from(["a", "b", "c", "d"])
TOLD = st.tuples(NAMES, st.integers(0, 9), st.integers(1, 4), st.booleans())
REGISTERS = st.lists(TOLD, max_size=12)


def register(value: int, number: int, derived: bool) -> Register:
    return Register(value, f"{number:03d}", f"2026-01-0{number}", f"change {number}", derived)


@given(REGISTERS)
def test_they_hold_what_a_plain_mapping_of_registers_would(wanted: list[tuple[str, int, int, bool]]) -> None:
    held, plain = Held(), dict[str, Register]()
    for name, value, number, derived in wanted:
        plain[name] = register(value, number, derived)
        set_one(held, name, plain[name])
    assert dict(held.items()) == plain
    assert {name: held.get(name) for name in "abcd" if find(held, name)} == plain


@given(REGISTERS, st.randoms(use_true_random=False))
def test_the_same_registers_are_the_same_value_in_whatever_order_they_came(
    wanted: list[tuple[str, int, int, bool]], chance: random.Random
) -> None:
    registers = {name: register(*rest) for name, *rest in wanted}
    shuffled = list(registers.items())
    chance.shuffle(shuffled)
    assert held_of(dict(shuffled)) == held_of(registers)
    orders = [said.order for said in held_of(registers).said]
    assert orders == sorted(set(orders), reverse=True)


def test_what_nothing_is_left_of_is_forgotten() -> None:
    held = held_of({"a": register(1, 1, False), "b": register(2, 1, False)})
    put(held, Said("002", "2026-01-02", "change 2", False, {"a": 5, "b": 6}))
    assert [said.change_id for said in held.said] == ["change 2"]


def test_a_rule_that_no_field_counts_by_any_more_is_forgotten() -> None:
    golden = Golden("c", "account")
    for name in ("a", "b"):
        golden.show(name, "salesforce", "1", "last_writer", None)
    golden.show("c", "dynamics", "2", "owner dynamics", None)
    one, two = golden.registers["salesforce"]["1"], golden.registers["dynamics"]["2"]
    assert (one.shown, one.rules, two.shown, two.rules) == (
        {"a": 0, "b": 0},
        ["last_writer"],
        {"c": 0},
        ["owner dynamics"],
    )
    golden.show("a", "dynamics", "2", "last_writer", None)
    golden.show("b", "dynamics", "2", "owner dynamics", None)
    assert (one.shown, one.rules) == ({}, [])
    assert (two.shown, two.rules) == ({"c": 0, "a": 1, "b": 0}, ["owner dynamics", "last_writer"])
    for name in "cb":
        hide(golden.registers, name)
    assert (two.shown, two.rules) == ({"a": 0}, ["last_writer"])


def test_a_record_that_has_left_is_kept_for_what_is_shown_of_it_alone() -> None:
    golden, seen = Golden("c", "account"), register(1, 1, False)
    golden.held("dynamics", "2").said.append(Said("001", "2026-01-01", "change 1", False, {"b": 1}))
    for name in ("a", "b"):
        golden.show(name, "salesforce", "gone", "last_writer", seen)
    golden.show("b", "dynamics", "2", "last_writer", None)
    assert set(golden.registers) == {"dynamics", "salesforce"}
    golden.show("a", "dynamics", "2", "last_writer", seen)
    assert set(golden.registers) == {"dynamics"}
    golden.show("a", "salesforce", "gone", "last_writer", seen)
    hide(golden.registers, "a")
    assert set(golden.registers) == {"dynamics"}
    golden.show("a", "salesforce", "gone", "last_writer", seen)
    hide_all(golden.registers)
    assert {system: list(natives) for system, natives in golden.registers.items()} == {"dynamics": ["2"]}
    assert speaking(golden.registers) == ["dynamics"]


def test_a_record_that_says_something_else_by_now_is_not_all_that_counts() -> None:
    golden = Golden("c", "account")
    golden.held("salesforce", "1").said.append(Said("002", "2026-01-02", "change 2", False, {"a": 2, "b": 2}))
    golden.show("b", "salesforce", "1", "last_writer", None)
    assert is_all(golden.registers, "salesforce", "1")
    assert not is_all(golden.registers, "dynamics", "2")
    golden.show("a", "salesforce", "1", "last_writer", register(1, 1, False))
    assert not is_all(golden.registers, "salesforce", "1")
