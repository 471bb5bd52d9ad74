"""Thousands of writes to Salesforce by Bulk API 2.0: few calls, an answer each, and what a job may do wrong."""

from __future__ import annotations

import asyncio
import csv
import io
from typing import Any

import pytest
from sforg import OBJECTS, joined, upsert

from isthmus.config.errors import PermanentError, PlatformError, TransientError
from isthmus.simulators.salesforce import SalesforceOrg
from isthmus.systems.protocol import Reference, Write, Written
from isthmus.systems.salesforce import bulk, jobs
from isthmus.systems.salesforce import write as writing
from isthmus.systems.salesforce.wish import Wish

KEYS = {name: mapping.external_id for name, mapping in OBJECTS.items()}


@pytest.fixture
def org() -> SalesforceOrg:
    return SalesforceOrg(seed=8)


@pytest.fixture(autouse=True)
def from_ten_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bulk from ten writes on, and no long waits."""
    monkeypatch.setattr(writing, "BULK", 10)
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(jobs, "LOOK_SECONDS_MOST", 0.02)


def outcomes(answers: list[Written | PlatformError]) -> list[str]:
    return [answer.code if isinstance(answer, PlatformError) else "ok" for answer in answers]


def wish(write: Write) -> Wish:
    return Wish(OBJECTS[write.object], write, KEYS)


async def test_thousands_are_one_job_and_every_write_has_its_answer(org: SalesforceOrg) -> None:
    org.job_looks = 3
    async with joined(org) as salesforce:
        answers = await salesforce.write([upsert(number) for number in range(3000)])
        assert org.requests < 12
        again = await salesforce.write([upsert(number) for number in reversed(range(3000))])
    assert all(isinstance(answer, Written) and answer.created for answer in answers)
    assert not any(isinstance(answer, Written) and answer.created for answer in again)
    ids = [answer.record_id for answer in answers if isinstance(answer, Written)]
    assert ids == [answer.record_id for answer in reversed(again) if isinstance(answer, Written)]
    stored = org.rows("Account")
    assert [stored[one]["Name"] for one in ids] == [f"N{number}" for number in range(3000)]


async def test_values_come_through_csv_as_they_are(org: SalesforceOrg) -> None:
    values: dict[str, Any] = {
        "Name": 'Says "hi", she\nsaid; ä€\U0001f600',
        "Credit_Limit__c": 99.95,
        "NumberOfEmployees": 7,
        "Phone": None,
        "Website": "",
        "Description": "#N/A",
    }
    known = org.create("Account", {"Name": "x", "Phone": "1", "Website": "https://a", "Fax": "2"})
    contact = Write("Contact", "p", None, {"LastName": "Moss"}, references={"AccountId": Reference("Account", "can-1")})
    others = [contact, *(Write("Contact", f"p{number}", None, {"LastName": "R"}) for number in range(12))]
    async with joined(org) as salesforce:
        updates = [Write("Account", "can-k", known, values)]
        fill = [org.create("Account", {"Name": "y"}) for _ in range(12)]
        updates += [Write("Account", f"f{one}", one, {"Fax": "3"}) for one in fill]
        assert set(outcomes(await salesforce.write(updates))) == {"ok"}
        del values["Description"]
        updates[0] = Write("Account", "can-k", known, {**values, "Isthmus_Id__c": "can-1"})
        assert set(outcomes(await salesforce.write(updates))) == {"ok"}
        assert set(outcomes(await salesforce.write(others))) == {"ok"}
    row = org.rows("Account")[known]
    assert {name: row[name] for name in values} == {**values, "Website": None}
    assert (row["Fax"], row["Description"]) == ("2", "#N/A")
    assert [one["AccountId"] for one in org.rows("Contact").values() if one["AccountId"]] == [known]


async def test_a_record_that_is_refused_holds_up_no_other(org: SalesforceOrg) -> None:
    writes = [upsert(number) for number in range(20)]
    writes[3] = upsert("long", Name="x" * 300)
    async with joined(org) as salesforce:
        answers = await salesforce.write(writes)
    assert outcomes(answers) == [*["ok"] * 3, "STRING_TOO_LONG", *["ok"] * 16]
    assert isinstance(answers[3], PermanentError)
    assert "data value too large" in str(answers[3])


async def test_a_lock_inside_a_job_is_transient(org: SalesforceOrg) -> None:
    known = [org.create("Account", {"Name": "x"}) for _ in range(20)]
    org.faults.lock(known[:1])
    async with joined(org) as salesforce:
        answers = await salesforce.write([Write("Account", f"k{one}", one, {"Phone": "1"}) for one in known])
    assert outcomes(answers) == ["UNABLE_TO_LOCK_ROW", *["ok"] * 19]
    assert isinstance(answers[0], TransientError)


async def test_a_job_that_fails_as_a_whole_is_no_records_fault(org: SalesforceOrg) -> None:
    org.faults.failing_jobs = 1
    async with joined(org) as salesforce:
        answers = await salesforce.write([*(upsert(number) for number in range(20)), upsert("x", Nonsense__c="1")])
    assert outcomes(answers) == [*["ok"] * 20, "INVALID_FIELD"]
    assert len(org.rows("Account")) == 20


async def test_one_bad_column_costs_only_the_record_that_has_it(org: SalesforceOrg) -> None:
    async with joined(org) as salesforce:
        answers = await salesforce.write([*(upsert(number) for number in range(20)), upsert("x", Nonsense__c="1")])
    assert outcomes(answers) == [*["ok"] * 20, "INVALID_FIELD"]


async def test_a_job_that_cannot_be_made_is_tried_later(org: SalesforceOrg) -> None:
    org.faults.drop(path="/jobs/ingest$")
    writes = [upsert(number) for number in range(20)]
    async with joined(org) as salesforce:
        assert set(outcomes(await salesforce.write(writes))) == {"NETWORK"}
        assert set(outcomes(await salesforce.write(writes))) == {"ok"}
    assert len(org.rows("Account")) == 20


async def test_an_upload_that_was_cut_leaves_no_job_behind(org: SalesforceOrg) -> None:
    # The client repeats a PUT once by itself.
    org.faults.drop(2, path="/batches")
    async with joined(org) as salesforce:
        assert set(outcomes(await salesforce.write([upsert(number) for number in range(20)]))) == {"NETWORK"}
        info = await salesforce._org.get("/jobs/ingest/7505g0000000001AAA")
    assert info["state"] == "Aborted"


@pytest.mark.parametrize("code", ["INVALIDJOBSTATE", "API_DISABLED_FOR_ORG"])
async def test_what_is_wrong_with_a_job_is_not_held_against_its_records(org: SalesforceOrg, code: str) -> None:
    org.faults.refuse(code, "no", path="/jobs/ingest/?")
    async with joined(org) as salesforce:
        assert set(outcomes(await salesforce.write([upsert(number) for number in range(20)]))) == {"ok"}


async def test_a_look_that_fails_is_only_a_look(org: SalesforceOrg) -> None:
    org.job_looks = 5
    async with joined(org) as salesforce:
        org.faults.fail(2, 503, [{"errorCode": "SERVER_UNAVAILABLE", "message": "busy"}], path="ingest/[^/]+$")
        org.faults.cut(1, path="successfulResults")
        writes = [upsert(number) for number in range(20)]
        answers = await salesforce.write(writes)
        assert set(outcomes(answers)) <= {"ok", "NETWORK", "SERVER_UNAVAILABLE"}
        assert set(outcomes(await salesforce.write(writes))) == {"ok"}


async def test_a_job_nobody_waits_for_is_aborted_and_writes_nothing(org: SalesforceOrg) -> None:
    org.job_looks = 10**9
    async with joined(org) as salesforce:
        session = salesforce._org
        job = await jobs.create(session, "ingest", bulk._wanted(wish(upsert(1))))
        await bulk._upload(session, job, [wish(upsert(1))])
        await jobs.move(session, "ingest", job, "UploadComplete")
        with pytest.raises(TransientError) as caught:
            await jobs.finished(session, "ingest", job, patience=0.05)
        assert caught.value.code == "JOB_UNFINISHED"
        await jobs.give_up(session, "ingest", job)
        with pytest.raises(PermanentError, match="aborted"):
            await jobs.finished(session, "ingest", job)
    assert org.rows("Account") == {}


async def test_writes_whose_job_takes_too_long_come_again_and_say_nothing_against_the_org(
    org: SalesforceOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "LONGEST_SECONDS", 0.05)
    org.job_looks = 10**9
    writes = [upsert(number) for number in range(20)]
    async with joined(org) as salesforce:
        answers = await asyncio.wait_for(salesforce.write(writes), 5)
        assert set(outcomes(answers)) == {"JOB_UNFINISHED"}
        assert all(isinstance(answer, TransientError) and answer.of_record for answer in answers)
        info = await salesforce._org.get("/jobs/ingest/7505g0000000001AAA")
        assert (info["state"], org.rows("Account")) == ("Aborted", {})
        assert set(outcomes(await salesforce.write(writes[:9]))) == {"ok"}


def test_an_upload_is_cut_before_it_is_too_large() -> None:
    wishes = [wish(upsert(number, Description="d" * 1000)) for number in range(100)]
    parts = list(bulk.uploads(wishes, 10_000))
    assert [one for part in parts for one in part] == wishes
    assert all(len(bulk.as_csv(part)) <= 10_000 for part in parts)
    assert 10 <= len(parts) <= 20
    assert [len(part) for part in bulk.uploads(wishes[:1], 10)] == [1]
    assert list(bulk.uploads([], 10)) == []


def test_a_column_that_a_record_does_not_have_is_an_empty_cell() -> None:
    text = bulk.as_csv([wish(upsert(1, Phone=None)), wish(upsert(2, Fax=True))])
    assert list(csv.DictReader(io.StringIO(text))) == [
        {"Isthmus_Id__c": "can-1", "Name": "N1", "Phone": "#N/A", "Fax": ""},
        {"Isthmus_Id__c": "can-2", "Name": "N2", "Phone": "", "Fax": "true"},
    ]
