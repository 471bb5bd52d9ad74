"""Every failure that Salesforce documents (salesforce.md §4.2), provoked at the simulated org: what the adapter makes of
it, alone and in a batch, and that the next try works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sforg import joined, upsert

from isthmus.config.errors import (
    AuthError,
    ConflictError,
    MissingReference,
    PermanentError,
    PlatformError,
    TransientError,
)
from isthmus.simulators.salesforce import SalesforceOrg
from isthmus.systems import http
from isthmus.systems.protocol import Write, Written
from isthmus.systems.salesforce.write import SINGLES

MANY = SINGLES + 6
WRITES = r"/(sobjects|composite)/"


@dataclass(frozen=True)
class Failure:
    """A failure of the answer as a whole, and what it has to become."""

    status: int
    code: str
    message: str
    kind: type[PlatformError]
    retry_after: float | None = None
    hinted: bool = True

    def __str__(self) -> str:
        return f"{self.status}-{self.code}"


LOCK = "unable to obtain exclusive access to this record or 1 records: 001000000000001AAA"
FAILURES = [
    # It may work later.
    Failure(400, "UNABLE_TO_LOCK_ROW", LOCK, TransientError, hinted=False),
    Failure(503, "SERVER_UNAVAILABLE", "Server too busy", TransientError, hinted=False),
    Failure(400, "TOO_MANY_APEX_REQUESTS", "too many", TransientError, hinted=False),
    Failure(400, "QUERY_TIMEOUT", "Your query request was running for too long.", TransientError, hinted=False),
    Failure(400, "REQUEST_RUNNING_TOO_LONG", "too long", TransientError, hinted=False),
    Failure(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred.", TransientError, hinted=False),
    Failure(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.", TransientError, 30.0),
    Failure(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests Limit exceeded.", TransientError, 30.0),
    Failure(400, "ALL_OR_NONE_OPERATION_ROLLED_BACK", "rolled back", TransientError, hinted=False),
    Failure(400, "PROCESSING_HALTED", "rolled back", TransientError, hinted=False),
    Failure(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"T: UNABLE_TO_LOCK_ROW, {LOCK}", TransientError),
    Failure(400, "INVALID_FIELD", "Foreign key external ID: x not found for field K in entity A", MissingReference),
    # It has to wait.
    Failure(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", TransientError, 300.0),
    Failure(400, "STORAGE_LIMIT_EXCEEDED", "storage limit exceeded", TransientError, 300.0),
    # This payload never.
    Failure(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "Phone is needed", PermanentError),
    Failure(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]", PermanentError),
    Failure(400, "STRING_TOO_LONG", "data value too large", PermanentError),
    Failure(400, "INVALID_FIELD", "No such column", PermanentError),
    Failure(400, "INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields", PermanentError),
    Failure(400, "MALFORMED_ID", "id value of incorrect type", PermanentError),
    Failure(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", PermanentError),
    Failure(400, "INVALID_EMAIL_ADDRESS", "invalid email address", PermanentError),
    Failure(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "T: System.NullPointerException", PermanentError),
    Failure(400, "ENTITY_IS_LOCKED", "the entity is locked for editing", PermanentError),
    Failure(403, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights", PermanentError),
    Failure(403, "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "insufficient access rights", PermanentError),
    Failure(400, "DUPLICATES_DETECTED", "Use one of these records?", PermanentError),
    Failure(400, "DUPLICATE_EXTERNAL_ID", "more than one record found", PermanentError),
    Failure(403, "API_CURRENTLY_DISABLED", "API is disabled for this user", PermanentError),
    Failure(410, "GONE", "the API version is retired", PermanentError),
    Failure(414, "URI_TOO_LONG", "too long", PermanentError),
    Failure(431, "HEADERS_TOO_LARGE", "too long", PermanentError),
    # An upsert thought nothing of its record, so there is nothing to read again.
    Failure(404, "ENTITY_IS_DELETED", "entity is deleted", PermanentError),
    Failure(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible", PermanentError),
]
CONFLICTS = [
    Failure(404, "ENTITY_IS_DELETED", "entity is deleted", ConflictError),
    Failure(404, "NOT_FOUND", "The requested resource does not exist", ConflictError),
    Failure(412, "PRECONDITION_FAILED", "changed meanwhile", ConflictError, hinted=False),
]


@pytest.fixture
def org() -> SalesforceOrg:
    return SalesforceOrg(seed=12)


def judged(answers: list[Written | PlatformError]) -> PlatformError:
    """The one error that all of them are."""
    faults = [answer for answer in answers if isinstance(answer, PlatformError)]
    assert len(faults) == len(answers)
    assert len({(type(fault), fault.code, fault.retry_after) for fault in faults}) == 1
    return faults[0]


@pytest.mark.parametrize("number", [1, MANY])
@pytest.mark.parametrize("failure", FAILURES, ids=str)
async def test_a_documented_failure_says_what_to_do_and_the_next_try_works(
    org: SalesforceOrg, failure: Failure, number: int
) -> None:
    writes = [upsert(one) for one in range(number)]
    org.faults.refuse(failure.code, failure.message, status=failure.status, path=WRITES)
    async with joined(org) as salesforce:
        fault = judged(await salesforce.write(writes))
        assert type(fault) is failure.kind
        assert (fault.code, fault.retry_after) == (failure.code, failure.retry_after)
        assert failure.message in str(fault)
        assert bool(fault.hint) is failure.hinted
        assert all(isinstance(answer, Written) for answer in await salesforce.write(writes))
    assert len(org.rows("Account")) == number


@pytest.mark.parametrize("failure", CONFLICTS, ids=str)
async def test_an_update_of_a_record_that_is_not_what_we_thought_is_a_conflict(
    org: SalesforceOrg, failure: Failure
) -> None:
    one = org.create("Account", {"Name": "Alder"})
    org.faults.refuse(failure.code, failure.message, status=failure.status, path=WRITES)
    async with joined(org) as salesforce:
        fault = judged(await salesforce.write([Write("Account", "k", one, {"Phone": "1"})]))
    assert type(fault) is ConflictError
    assert (fault.code, bool(fault.hint)) == (failure.code, failure.hinted)


@pytest.mark.parametrize("status", [420, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("number", [1, MANY])
async def test_a_gateways_page_is_transient_and_its_wait_is_obeyed(
    org: SalesforceOrg, status: int, number: int
) -> None:
    org.faults.fail(1, status, "<html>busy</html>", 12, path=WRITES)
    async with joined(org) as salesforce:
        fault = judged(await salesforce.write([upsert(one) for one in range(number)]))
    assert type(fault) is TransientError
    assert (fault.code, fault.retry_after) == (f"HTTP_{status}", 12.0)


def lock(org: SalesforceOrg, record_id: str) -> None:
    org.faults.lock([record_id])


def delete(org: SalesforceOrg, record_id: str) -> None:
    org.delete("Account", record_id)


def rule(org: SalesforceOrg, record_id: str) -> None:
    org.faults.duplicate_rules = {"Account": "Fax"}
    org.create("Account", {"Name": "other", "Fax": "7"})


ORGANIC: list[tuple[Callable[[SalesforceOrg, str], None], dict[str, object], type[PlatformError], str]] = [
    (lock, {"Phone": "1"}, TransientError, "UNABLE_TO_LOCK_ROW"),
    (delete, {"Phone": "1"}, ConflictError, "ENTITY_IS_DELETED"),
    (rule, {"Fax": "7"}, PermanentError, "DUPLICATES_DETECTED"),
    (lambda org, _: None, {"Name": None}, PermanentError, "REQUIRED_FIELD_MISSING"),
    (lambda org, _: None, {"Phone": "1" * 50}, PermanentError, "STRING_TOO_LONG"),
    (lambda org, _: None, {"Nonsense__c": "1"}, PermanentError, "INVALID_FIELD"),
    (lambda org, _: None, {"CreatedDate": "2020-01-01"}, PermanentError, "INVALID_FIELD_FOR_INSERT_UPDATE"),
]


@pytest.mark.parametrize(("provoke", "fields", "kind", "code"), ORGANIC)
@pytest.mark.parametrize("number", [0, MANY])
async def test_one_record_that_fails_fails_alone(
    org: SalesforceOrg,
    provoke: Callable[[SalesforceOrg, str], None],
    fields: dict[str, object],
    kind: type[PlatformError],
    code: str,
    number: int,
) -> None:
    one = org.create("Account", {"Name": "Alder"})
    others = [org.create("Account", {"Name": "x"}) for _ in range(number)]
    provoke(org, one)
    writes = [Write("Account", "k", one, fields)]  # type: ignore[arg-type]
    writes += [Write("Account", f"k{other}", other, {"Phone": "2"}) for other in others]
    async with joined(org) as salesforce:
        fault, *well = await salesforce.write(writes)
    assert type(fault) is kind
    assert isinstance(fault, PlatformError)
    assert fault.code == code
    assert all(isinstance(answer, Written) for answer in well)


@pytest.mark.parametrize("number", [1, MANY])
@pytest.mark.parametrize("trouble", ["drop", "cut"])
async def test_a_connection_that_is_cut_is_transient_and_a_repeat_does_no_harm(
    org: SalesforceOrg, trouble: str, number: int
) -> None:
    writes = [upsert(one) for one in range(number)]
    getattr(org.faults, trouble)(1, path=WRITES)
    async with joined(org) as salesforce:
        fault = judged(await salesforce.write(writes))
        assert (type(fault), fault.code) == (TransientError, "NETWORK")
        answers = await salesforce.write(writes)
    created = [isinstance(answer, Written) and answer.created for answer in answers]
    assert created == [trouble == "drop"] * number
    assert len(org.rows("Account")) == number


async def test_an_org_that_does_not_answer_in_time_is_transient(
    org: SalesforceOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "DEADLINE_SECONDS", 0.3)
    org.faults.delay(1.0, path=WRITES)
    async with joined(org) as salesforce:
        fault = judged(await salesforce.write([upsert(1)]))
        assert (type(fault), fault.code) == (TransientError, "NETWORK")


async def test_a_slow_batch_is_waited_for(org: SalesforceOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "DEADLINE_SECONDS", 0.3)
    async with joined(org) as salesforce:
        org.faults.delay(0.6, path="/composite/")
        assert all(isinstance(one, Written) for one in await salesforce.write([upsert(n) for n in range(MANY)]))


@pytest.mark.parametrize("number", [1, MANY])
async def test_a_token_that_ends_is_renewed_and_one_that_is_refused_again_is_an_auth_error(
    org: SalesforceOrg, number: int
) -> None:
    writes = [upsert(one) for one in range(number)]
    async with joined(org) as salesforce:
        org.faults.expire(path=WRITES)
        assert all(isinstance(answer, Written) for answer in await salesforce.write(writes))
        org.faults.refuse("INVALID_SESSION_ID", "Session expired or invalid", status=401, number=2, path=WRITES)
        fault = judged(await salesforce.write(writes))
        assert (type(fault), fault.code) == (AuthError, "INVALID_SESSION_ID")
        assert all(isinstance(answer, Written) for answer in await salesforce.write(writes))


async def test_writes_in_flight_when_the_token_ends_are_all_carried_out(org: SalesforceOrg) -> None:
    async with joined(org) as salesforce:
        org.faults.expire(1, path=WRITES)
        batches = [[upsert(f"{batch}-{one}") for one in range(MANY)] for batch in range(8)]
        answers = await asyncio.gather(*(salesforce.write(batch) for batch in batches))
    assert all(isinstance(answer, Written) for batch in answers for answer in batch)
    assert len(org.rows("Account")) == 8 * MANY


async def test_a_spent_quota_is_waited_for_and_a_crowd_shorter(org: SalesforceOrg) -> None:
    async with joined(org) as salesforce:
        waits = []
        for concurrent in (False, True):
            org.faults.throttle(1, concurrent=concurrent)
            waits.append(judged(await salesforce.write([upsert(1)])).retry_after)
        org.faults.throttle(1, 77.0)
        waits.append(judged(await salesforce.write([upsert(1)])).retry_after)
    assert waits == [300.0, 30.0, 77.0]


async def test_reads_fail_as_writes_do(org: SalesforceOrg) -> None:
    one = org.create("Account", {"Name": "Alder"})
    async with joined(org) as salesforce:
        for code, status, kind in (
            ("QUERY_TIMEOUT", 400, TransientError),
            ("INVALID_FIELD", 400, PermanentError),
            ("OPERATION_TOO_LARGE", 403, PermanentError),
        ):
            org.faults.refuse(code, "no", status=status, path="/query")
            with pytest.raises(kind) as caught:
                await salesforce.read("Account", [one])
            assert isinstance(caught.value, PlatformError)
            assert caught.value.code == code
        assert (await salesforce.read("Account", [one]))[0].exists
