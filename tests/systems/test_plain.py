"""The plain form of values and names: the same thing read in two ways looks the same."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codecs.change import Change
from isthmus.systems.plain import chunks, moment, plain
from isthmus.systems.salesforce.names import as_mapped, flat


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5.0, 5),
        (5.5, 5.5),
        (5, 5),
        (True, True),
        (None, None),
        (1e300, 1e300),
        (Decimal("5.0"), 5),
        (Decimal("0.1"), 0.1),
        (Decimal("1234567890123456.78"), "1234567890123456.78"),
        ("5.0", "5.0"),
        ("2024-04-09T20:26:27.000+0000", "2024-04-09T20:26:27.000Z"),
        ("2024-04-09T20:26:27.000Z", "2024-04-09T20:26:27.000Z"),
        ("at 2024-04-09T20:26:27.000+0000", "at 2024-04-09T20:26:27.000+0000"),
    ],
)
def test_a_value_has_one_form(value: object, expected: object) -> None:
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()))
def test_the_plain_form_of_the_plain_form_is_itself(value: object) -> None:
    assert plain(plain(value)) == plain(value)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("2024-04-09T20:26:27.000+0000", "2024-04-09T20:26:27Z"),
        ("2024-04-09T20:26:27.250+0000", "2024-04-09T20:26:27.250Z"),
        ("2024-04-09T22:26:27+02:00", "2024-04-09T20:26:27Z"),
        ("2024-04-09T20:26:27Z", "2024-04-09T20:26:27Z"),
        (None, None),
        ("yesterday", None),
    ],
)
def test_a_moment_is_utc_with_a_fraction_only_where_there_is_one(told: object, expected: str | None) -> None:
    assert moment(told) == expected


@pytest.mark.parametrize(
    ("compound", "expected"),
    [
        ("BillingAddress.City", "BillingCity"),
        ("BillingAddress.GeocodeAccuracy", "BillingGeocodeAccuracy"),
        ("PersonMailingAddress.PostalCode", "PersonMailingPostalCode"),
        ("Address.Street", "Street"),
        ("Name.FirstName", "FirstName"),
        ("Name.Salutation", "Salutation"),
        ("Spot__c.Latitude", "Spot__Latitude__s"),
        ("Depot_Address__c.City", "Depot_Address__City__s"),
        ("Name", "Name"),
        ("Credit_Limit__c", "Credit_Limit__c"),
    ],
)
def test_a_compound_name_is_rests_name(compound: str, expected: str) -> None:
    assert flat(compound) == expected


def test_a_change_is_told_as_mappings_name_it() -> None:
    change = Change(
        system="salesforce",
        entity="Account",
        record_id="0015f00002J9YaUAAV",
        operation="update",
        fields={"BillingAddress.City": "Ulm", "Credit_Limit__c": 1000.0},
        cleared=("BillingAddress.Street", "Phone"),
        version="1",
        changed_at=None,
        transaction=None,
        origin=None,
        change_id="t:1:0015f00002J9YaUAAV",
    )
    told = as_mapped(change)
    assert told.fields == {"BillingCity": "Ulm", "Credit_Limit__c": 1000}
    assert told.cleared == ("BillingStreet", "Phone")
    assert told.change_id == change.change_id


def test_chunks_lose_nothing() -> None:
    assert [list(some) for some in chunks([1, 2, 3, 4, 5], 2)] == [[1, 2], [3, 4], [5]]
    assert list(chunks([], 2)) == []
