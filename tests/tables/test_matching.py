"""Which records of two systems are the same, before they were ever joined."""

from __future__ import annotations

import random
import time

import pytest

from isthmus.codecs.change import Value
from isthmus.config.mapping import EntityMapping, load_mappings
from isthmus.tables.matching import Entry, Plan, alike, plan

MATCH = {"keys": [["account_number"]], "fuzzy": {"name": 3, "phone": 2, "billing_city": 1}}


@pytest.fixture(scope="module")
def account() -> EntityMapping:
    told = load_mappings().entities["account"].model_dump(by_alias=True, exclude_none=True)
    return EntityMapping.model_validate({**told, "match": MATCH})


def entry(native: str, external: str | None = None, **fields: Value) -> Entry:
    return Entry(native, fields, external)


def natives(found: Plan) -> tuple[list[tuple[str, str]], list[tuple[str, str]], list[str], list[str]]:
    return (
        [(one.left.native_id, one.right.native_id) for one in found.sure],
        [(one.left.native_id, one.right.native_id) for one in found.asked],
        [one.native_id for one in found.left],
        [one.native_id for one in found.right],
    )


def test_an_equal_key_with_much_alike_is_sure(account: EntityMapping) -> None:
    found = plan(
        account,
        [entry("S1", account_number="A-1", name="Alder Inc", phone="+33 1 23 45 67 89"), entry("S2", name="Zebra")],
        [entry("D1", account_number=" a-1", name="ALDER", phone="0123456789"), entry("D2", name="Quince")],
    )
    assert natives(found) == ([("S1", "D1")], [], ["S2"], ["D2"])
    assert found.sure[0].by == "account_number"


def test_an_equal_key_where_nothing_else_is_alike_is_a_question(account: EntityMapping) -> None:
    found = plan(
        account,
        [entry("S1", account_number="A-1", name="Alder", phone="0123456789")],
        [entry("D1", account_number="A-1", name="Quince Holding", phone="9876543210")],
    )
    assert natives(found) == ([], [("S1", "D1")], [], [])
    assert [str(one) for one in found.asked[0].why][1] == "phone: '0123456789' and '9876543210', 0.00"


def test_likeness_alone_is_never_sure(account: EntityMapping) -> None:
    found = plan(
        account,
        [entry("S1", name="Société Générale SA", phone="0123456789", billing_city="Paris")],
        [entry("D1", name="Generale Societe", phone="+33123456789", billing_city="paris")],
    )
    assert natives(found) == ([], [("S1", "D1")], [], [])
    assert found.asked[0].score == 1.0


def test_a_key_that_two_of_one_system_share_proves_nothing(account: EntityMapping) -> None:
    found = plan(
        account,
        [entry("S1", account_number="A-1", name="Alder"), entry("S2", account_number="A-1", name="Alder")],
        [entry("D1", account_number="A-1", name="Alder")],
    )
    assert natives(found) == ([], [("S1", "D1"), ("S2", "D1")], [], [])


def test_equal_canonical_ids_come_first(account: EntityMapping) -> None:
    found = plan(
        account,
        [entry("S1", "c-1", account_number="A-1", name="Alder")],
        [entry("D1", "c-1", name="Quince"), entry("D2", account_number="A-1", name="Alder")],
    )
    assert natives(found) == ([("S1", "D1")], [], [], ["D2"])


def test_the_order_of_the_rows_does_not_matter(account: EntityMapping) -> None:
    chance = random.Random(3)
    left = [entry(f"S{n}", name=f"{chance.choice(['alder', 'birch', 'cedar'])} {n // 3}") for n in range(60)]
    right = [entry(f"D{n}", name=f"{chance.choice(['alder', 'birch', 'cedar'])} {n // 3}") for n in range(60)]
    first = natives(plan(account, left, right))
    chance.shuffle(left)
    chance.shuffle(right)
    assert natives(plan(account, left, right)) == first


def test_the_work_does_not_grow_with_the_square_of_the_rows(account: EntityMapping) -> None:
    def seconds(number: int) -> float:
        left = [entry(f"S{n}", name=f"Customer {n * 7919 % 100_003}", phone=f"0{n:09d}") for n in range(number)]
        right = [entry(f"D{n}", name=f"customer {n * 7919 % 100_003}", phone=f"1{n:09d}") for n in range(number)]
        began = time.process_time()
        plan(account, left, right)
        return time.process_time() - began

    assert seconds(4_000) < 4 * 2.5 * seconds(1_000)


@pytest.mark.parametrize(
    ("one", "other", "least", "most"),
    [
        ("Alder GmbH", "alder", 1.0, 1.0),
        ("Alder & Birch", "Birch, Alder", 1.0, 1.0),
        ("Alder Works", "Alder Wroks", 0.8, 0.99),
        ("Alder", "Quince", 0.0, 0.5),
        ("+49 30 1234567", "0301234567", 1.0, 1.0),
        (5, 5.0, 0.0, 1.0),
    ],
)
def test_how_alike_two_values_are(one: Value, other: Value, least: float, most: float) -> None:
    assert least <= alike(one, other) <= most
