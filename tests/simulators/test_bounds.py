"""Which rows a filter is tried on: never too few, and few where an index can tell."""

from __future__ import annotations

import pytest

from isthmus.simulators.bounds import Bound
from isthmus.simulators.dynamics import DynamicsEnvironment
from isthmus.simulators.dynamics import filters as dynamics
from isthmus.simulators.operations import CUSTOMER, OperationsEnvironment
from isthmus.simulators.operations import queries as operations

NAMES = ("Alder", "Birch", "ÄLDER", "Cedar")


def bound(column: str, *values: str) -> Bound:
    return Bound(column, frozenset(values))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("name eq 'Alder'", bound("name", "alder")),
        ("name eq 'Alder' or (name eq 'BIRCH')", bound("name", "alder", "birch")),
        ("statecode eq 0 and name eq 'Alder'", bound("name", "alder")),
        ("(name eq 'a' or name eq 'b') and city eq 'c'", bound("city", "c")),
        ("name eq 'Alder' or city eq 'Ulm'", None),
        ("name eq 'Alder' or statecode eq 0", None),
        ("not name eq 'Alder'", None),
        ("not (name eq 'Alder' and statecode eq 0)", None),
        ("name ne 'Alder'", None),
        ("name eq null", None),
        ("contains(name,'Alder')", None),
        ("Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=['A','b'])", bound("name", "a", "b")),
        ("Microsoft.Dynamics.CRM.NotIn(PropertyName='name',PropertyValues=['A'])", None),
    ],
)
def test_a_filter_is_bound_by_what_must_be_equal(expression: str, expected: Bound | None) -> None:
    assert dynamics.parse_filter(expression).bound == expected


def test_dynamics_gives_the_rows_within_a_bound_whatever_its_column_holds() -> None:
    environment = DynamicsEnvironment(seed=1)
    store, account, contact = environment.store, environment.table("account"), environment.table("contact")
    ids = [environment.create("account", {"name": name}) for name in NAMES]
    theirs = environment.create("contact", {"lastname": "L", "parentcustomerid": ids[1]})
    assert [row.id for row in store.within(account, bound("name", "älder", "alder"))] == [ids[0], ids[2]]
    assert [row.id for row in store.within(account, bound("accountid", ids[3]))] == [ids[3]]
    assert [row.id for row in store.within(contact, bound("_parentcustomerid_value", ids[1]))] == [theirs]
    for unknown in (None, bound("nonsense", "a"), bound("createdon", "a"), bound("parentcustomerid", ids[1])):
        assert [row.id for row in store.within(contact, unknown)] == [theirs], (
            "what is no such column is for the filter"
        )
    environment.update("account", ids[0], {"name": "Dover"})
    assert [row.id for row in store.within(account, bound("name", "dover", "älder"))] == [ids[0], ids[2]]


def test_finance_and_operations_gives_the_rows_within_a_bound() -> None:
    environment = OperationsEnvironment(seed=1)
    keys = [environment.create(CUSTOMER, {"OrganizationName": name}) for name in NAMES]
    customer = environment.entity(CUSTOMER)
    told = operations.parse_filter(customer, "OrganizationName eq 'älder' or OrganizationName eq 'Cedar'")
    assert [row.id for row in environment.store.within(CUSTOMER, told.bound)] == [keys[2], keys[3]]
    mixed = operations.parse_filter(customer, "OrganizationName eq 'Cedar' or CreditLimit eq 0")
    assert [row.id for row in environment.store.within(CUSTOMER, mixed.bound)] == keys
    negated = operations.parse_filter(customer, "not (OrganizationName eq 'Cedar')")
    assert negated.bound is None
