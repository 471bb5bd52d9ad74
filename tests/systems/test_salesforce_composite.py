"""Writes to Salesforce that refer to each other: parents first, in few calls, and a refusal costs only its children."""

from __future__ import annotations

import pytest
from sforg import joined, upsert

from isthmus.config.errors import PermanentError, PlatformError, TransientError
from isthmus.simulators.salesforce import SalesforceOrg
from isthmus.systems.protocol import Reference, Write, Written


@pytest.fixture
def org() -> SalesforceOrg:
    return SalesforceOrg(seed=6)


def contact(number: int | str, of: int | str, **fields: object) -> Write:
    """A person who belongs to an account."""
    values = {"LastName": f"P{number}", **fields}
    to = {"AccountId": Reference("Account", f"can-{of}")}
    return Write("Contact", f"person-{number}", None, values, references=to)  # type: ignore[arg-type]


def outcomes(answers: list[Written | PlatformError]) -> list[str]:
    return [answer.code if isinstance(answer, PlatformError) else "ok" for answer in answers]


def belongs(org: SalesforceOrg) -> dict[str, str]:
    """Whose account is whose, by name."""
    accounts = org.rows("Account")
    return {row["LastName"]: accounts[row["AccountId"]]["Name"] for row in org.rows("Contact").values()}


async def test_a_child_written_with_its_parent_belongs_to_it_whatever_the_order(org: SalesforceOrg) -> None:
    async with joined(org) as salesforce:
        answers = await salesforce.write([contact(1, 1), upsert(2), upsert(1), contact(2, 2)])
        assert outcomes(answers) == ["ok"] * 4
        assert org.requests == 1
        assert [answer.created for answer in answers if isinstance(answer, Written)] == [True] * 4
        again = await salesforce.write([contact(1, 1), upsert(2), upsert(1), contact(2, 2)])
    assert belongs(org) == {"P1": "N1", "P2": "N2"}
    assert [one.record_id for one in again if isinstance(one, Written)] == [
        one.record_id for one in answers if isinstance(one, Written)
    ]


async def test_each_part_of_a_composite_call_bears_our_name(org: SalesforceOrg) -> None:
    org.names_batches = False
    async with joined(org) as salesforce:
        await salesforce.write([upsert(1), contact(1, 1)])
    origins = {event.message["payload"]["ChangeEventHeader"]["changeOrigin"] for event in org.events}
    assert origins == {"com/salesforce/api/rest/60.0;client=isthmus"}


async def test_a_parent_that_is_there_already_is_found_by_its_external_id(org: SalesforceOrg) -> None:
    org.create("Account", {"Name": "Alder", "Isthmus_Id__c": "can-1"})
    async with joined(org) as salesforce:
        assert outcomes(await salesforce.write([contact(1, 1)])) == ["ok"]
        assert outcomes(await salesforce.write([contact(number, 1) for number in range(2, 30)])) == ["ok"] * 28
    assert set(belongs(org).values()) == {"Alder"}


async def test_a_parent_that_is_still_on_its_way_is_waited_for(org: SalesforceOrg) -> None:
    async with joined(org) as salesforce:
        (answer,) = await salesforce.write([contact(1, 1)])
        assert isinstance(answer, TransientError)
        assert outcomes(await salesforce.write([upsert(1)])) == ["ok"]
        assert outcomes(await salesforce.write([contact(1, 1)])) == ["ok"]


async def test_a_parent_with_its_id_known_is_updated_and_referred_to(org: SalesforceOrg) -> None:
    known = org.create("Account", {"Name": "Alder"})
    parent = Write("Account", "can-1", known, {"Name": "Birch", "Isthmus_Id__c": "can-1"})
    async with joined(org) as salesforce:
        answers = await salesforce.write([contact(1, 1), parent])
    assert outcomes(answers) == ["ok", "ok"]
    assert belongs(org) == {"P1": "Birch"}


@pytest.mark.parametrize("children", [3, 40])
async def test_a_refused_record_holds_up_those_that_need_it_and_no_other(org: SalesforceOrg, children: int) -> None:
    well = [upsert(1), *(contact(number, 1) for number in range(children))]
    bad_child = contact("bad", 1, Email="no address")
    ill = [upsert(2, Name="x" * 300), contact("orphan", 2)]
    async with joined(org) as salesforce:
        answers = await salesforce.write([*well, bad_child, *ill])
    assert outcomes(answers) == [
        *["ok"] * len(well),
        "INVALID_EMAIL_ADDRESS",
        "STRING_TOO_LONG",
        "PROCESSING_HALTED",
    ]
    assert isinstance(answers[-2], PermanentError)
    assert isinstance(answers[-1], TransientError)
    assert len(org.rows("Contact")) == children


async def test_a_large_family_is_one_graph_and_a_huge_one_several(org: SalesforceOrg) -> None:
    async with joined(org) as salesforce:
        answers = await salesforce.write([upsert(1), *(contact(number, 1) for number in range(100))])
        assert (org.requests, set(outcomes(answers))) == (1, {"ok"})
        answers = await salesforce.write([upsert(2), *(contact(f"b{number}", 2) for number in range(700))])
        assert (org.requests, set(outcomes(answers))) == (3, {"ok"})
    assert len(belongs(org)) == 800


async def test_many_small_families_share_calls(org: SalesforceOrg) -> None:
    writes = [write for number in range(60) for write in (upsert(number), contact(number, number))]
    async with joined(org) as salesforce:
        assert set(outcomes(await salesforce.write(writes))) == {"ok"}
    assert org.requests == 5
    assert belongs(org) == {f"P{number}": f"N{number}" for number in range(60)}


async def test_a_long_line_of_descent_is_cut_where_a_graph_ends(org: SalesforceOrg) -> None:
    def below(number: int) -> Write:
        to = {"ParentId": Reference("Account", f"can-{number - 1}")} if number else {}
        return Write("Account", f"can-{number}", None, {"Name": f"N{number}"}, references=to)

    async with joined(org) as salesforce:
        answers = await salesforce.write([below(number) for number in reversed(range(40))])
    assert set(outcomes(answers)) == {"ok"}
    rows = org.rows("Account")
    names = {row["Name"]: row["ParentId"] and rows[row["ParentId"]]["Name"] for row in rows.values()}
    assert names == {f"N{number}": f"N{number - 1}" if number else None for number in range(40)}


@pytest.mark.parametrize("children", [2, 40])
async def test_a_call_that_fails_is_the_error_of_all_in_it(org: SalesforceOrg, children: int) -> None:
    org.faults.drop(path="/composite")
    writes = [upsert(1), *(contact(number, 1) for number in range(children))]
    async with joined(org) as salesforce:
        answers = await salesforce.write([*writes, upsert("alone")])
        assert outcomes(answers) == [*["NETWORK"] * len(writes), "ok"]
        assert set(outcomes(await salesforce.write(writes))) == {"ok"}
    assert len(org.rows("Contact")) == children


async def test_a_task_for_a_steward_is_written_once(org: SalesforceOrg) -> None:
    account = org.create("Account", {"Name": "Alder"})
    fields = {"Subject": "Look at this", "WhatId": account, "Description": "two phones"}
    async with joined(org) as salesforce:
        for _ in range(2):
            (answer,) = await salesforce.write([Write("Task", "task-1", None, fields)])
            assert isinstance(answer, Written)
    (task,) = org.rows("Task").values()
    assert (task["Subject"], task["WhatId"], task["Description"]) == ("Look at this", account, "two phones")
