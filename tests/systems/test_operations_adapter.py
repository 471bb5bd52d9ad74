"""The Finance & Operations adapter against the simulated environment: what only F&O has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from mapped import mapped
from one import write_one

from isthmus.config.errors import ConflictError, PermanentError, TransientError
from isthmus.simulators.operations import (
    CUSTOMER,
    INVOICE,
    JOURNAL,
    JOURNAL_LINE,
    LINE,
    ORDER,
    PRICE,
    PRODUCT,
    OperationsEnvironment,
    serve_operations,
)
from isthmus.systems.operations.adapter import Operations, OperationsConfig
from isthmus.systems.operations.records import URL_BYTES, conditions, query
from isthmus.systems.protocol import Row, Write, Written

OBJECTS = {
    one.object: one
    for one in (
        mapped(CUSTOMER, "CustomersV3", "dataAreaId,CustomerAccount", "IsthmusId", "OrganizationName"),
        mapped(
            ORDER,
            "SalesOrderHeadersV2",
            "dataAreaId,SalesOrderNumber",
            "CustomersOrderReference",
            "OrderingCustomerAccountNumber",
            "CurrencyCode",
            "SalesOrderProcessingStatus",
            "RequestedShippingDate",
        ),
        mapped(
            LINE,
            "SalesOrderLinesV2",
            "dataAreaId,InventoryLotId",
            "CustomersLineReference",
            "SalesOrderNumber",
            "LineNumber",
            "ItemNumber",
            "OrderedSalesQuantity",
            "SalesPrice",
        ),
        mapped(PRODUCT, "ReleasedProductsV2", "dataAreaId,ItemNumber", "ProductNumber", "SearchName"),
        mapped(PRICE, "SalesPriceAgreements", "RecordId", "ItemNumber", "Price"),
        mapped(JOURNAL, "LedgerJournalHeaders", "dataAreaId,JournalBatchNumber", "Description", "JournalName"),
        mapped(
            JOURNAL_LINE,
            "LedgerJournalLines",
            "dataAreaId,JournalBatchNumber,LineNumber",
            "Text",
            "JournalBatchNumber",
            "DebitAmount",
            "CreditAmount",
            "AccountDisplayValue",
        ),
        mapped(
            INVOICE,
            "SalesInvoiceHeadersV2",
            "dataAreaId,InvoiceNumber,InvoiceDate,LedgerVoucher",
            "SalesOrderNumber",
            "TotalInvoiceAmount",
        ),
    )
}


@asynccontextmanager
async def joined(environment: OperationsEnvironment, **changed: Any) -> AsyncIterator[Operations]:
    async with serve_operations(environment) as here:
        config = OperationsConfig(
            here, here, environment.tenant, environment.client_id, environment.client_secret, environment.company
        )
        system = Operations(replace(config, settle=0.2, **changed), OBJECTS)
        await system.open()
        try:
            yield system
        finally:
            await system.close()


@pytest.fixture
def environment() -> OperationsEnvironment:
    environment = OperationsEnvironment(seed=7)
    environment.create(CUSTOMER, {"CustomerAccount": "US-001", "OrganizationName": "Alder"})
    environment.create(PRODUCT, {"ItemNumber": " D-1", "SearchName": "Desk"})
    return environment


@pytest.fixture
async def operations(environment: OperationsEnvironment) -> AsyncIterator[Operations]:
    async with joined(environment) as system:
        yield system


def order(reference: str = "can-1", record_id: str | None = None, version: str | None = None, **more: Any) -> Write:
    fields = {"OrderingCustomerAccountNumber": "US-001", "CurrencyCode": "USD", **more}
    return Write(ORDER, reference, record_id, fields, version)


async def scanned(system: Operations, object: str) -> list[Row]:
    return [row async for row in system.scan(object)]


# -- the way of an order


async def test_an_order_with_its_lines_and_its_journal_are_written_and_read_back(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    written = await write_one(operations, order())
    assert (written.record_id, written.created) == ("dataAreaId='usmf',SalesOrderNumber='SO-000001'", True)
    number = environment.row(ORDER, written.record_id)["SalesOrderNumber"]
    for line in (1, 2):
        fields = {"SalesOrderNumber": number, "ItemNumber": " D-1", "OrderedSalesQuantity": line, "SalesPrice": 9.5}
        await write_one(operations, Write(LINE, f"can-1/{line}", None, fields))
    lines = await scanned(operations, LINE)
    assert [row.fields["LineNumber"] for row in lines] == [1, 2]
    assert [row.fields["ItemNumber"] for row in lines] == [" D-1", " D-1"]
    journal = await write_one(operations, Write(JOURNAL, "can-9", None, {"JournalName": "GenJrn"}))
    assert journal.record_id == "dataAreaId='usmf',JournalBatchNumber='00001'"
    entry = {"JournalBatchNumber": "00001", "DebitAmount": 19, "AccountDisplayValue": "4010\\-01"}
    booked = await write_one(operations, Write(JOURNAL_LINE, "can-9/1", None, entry))
    assert booked.record_id == "dataAreaId='usmf',JournalBatchNumber='00001',LineNumber=1"
    (row,) = await operations.read(JOURNAL_LINE, [booked.record_id])
    assert row.fields == {
        "JournalBatchNumber": "00001",
        "DebitAmount": 19,
        "CreditAmount": 0,
        "AccountDisplayValue": "4010\\-01",
        "Text": "can-9/1",
    }


async def test_a_released_product_is_changed_by_its_key_and_made_by_our_reference(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    (desk,) = await scanned(operations, PRODUCT)
    written = await operations.write(
        [
            Write(PRODUCT, "P-1", desk.record_id, {"SearchName": "Standing desk"}, desk.version),
            Write(PRODUCT, "P-2", None, {"SearchName": "Lamp"}),
        ]
    )
    assert [isinstance(one, Written) and one.created for one in written] == [False, True]
    assert {row.fields["SearchName"] for row in await scanned(operations, PRODUCT)} == {"Standing desk", "Lamp"}


async def test_prices_and_invoices_are_read_by_keys_of_numbers_and_dates(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    price = environment.create(PRICE, {"ItemNumber": " D-1", "Price": 12.5})
    written = await write_one(operations, order())
    environment.post_invoice(written.record_id, "INV-1", 99.0)
    (invoice,) = environment.rows(INVOICE)
    (row,) = await operations.read(PRICE, [price])
    assert (row.exists, row.fields["Price"]) == (True, 12.5)
    (row,) = await operations.read(INVOICE, [invoice])
    assert (row.exists, row.fields["TotalInvoiceAmount"]) == (True, 99)
    (row,) = await operations.read(ORDER, [written.record_id])
    assert row.fields["SalesOrderProcessingStatus"] == "Invoiced"
    with pytest.raises(PermanentError, match="read-only"):
        await write_one(operations, Write(INVOICE, "x", None, {}))


async def test_a_record_of_another_company_is_read_and_written_where_it_is(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    environment.create(CUSTOMER, {"dataAreaId": "DAT", "CustomerAccount": "X-1", "OrganizationName": "Birch"})
    written = await write_one(operations, order(dataAreaId="DAT", OrderingCustomerAccountNumber="X-1"))
    assert written.record_id.startswith("dataAreaId='dat',")
    again = await write_one(
        operations, order(dataAreaId="dat", OrderingCustomerAccountNumber="X-1", CurrencyCode="EUR")
    )
    assert (again.record_id, again.created) == (written.record_id, False)
    (row,) = await operations.read(ORDER, [written.record_id.replace("dat'", "DAT'", 1)])
    assert (row.exists, row.fields["CurrencyCode"]) == (True, "EUR")
    assert await scanned(operations, ORDER) == []


# -- a create whose answer is lost


async def test_an_order_whose_answer_was_cut_off_after_the_commit_exists_once(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    environment.lose_answers(1)
    written = await write_one(operations, order())
    again = await write_one(operations, order())
    assert list(environment.rows(ORDER)) == [written.record_id]
    assert (written.created, again.created, again.record_id) == (True, False, written.record_id)


async def test_an_order_that_is_committed_long_after_its_connection_was_cut_exists_once(
    environment: OperationsEnvironment,
) -> None:
    environment.lose_answers(1, late=0.3)
    async with joined(environment) as system:
        system._environment.config = replace(system._environment.config, settle=5.0)
        with pytest.raises(TransientError) as caught:
            await write_one(system, order())
        assert (caught.value.code, caught.value.retry_after) == ("IN_DOUBT", 5.0)
        with pytest.raises(TransientError, match="still be under way"):
            await write_one(system, order())
        assert environment.rows(ORDER) == {}
        async with asyncio.timeout(5):
            while not environment.rows(ORDER):
                await asyncio.sleep(0.01)
        written = await write_one(system, order())
    assert list(environment.rows(ORDER)) == [written.record_id]


async def test_a_create_that_was_never_carried_out_is_made_when_nothing_can_be_under_way(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    environment.fail_next(1, 503)
    with pytest.raises(TransientError) as caught:
        await write_one(operations, order())
    assert caught.value.retry_after is not None
    async with asyncio.timeout(5):
        while True:
            try:
                written = await write_one(operations, order())
                break
            except TransientError as fault:
                await asyncio.sleep(fault.retry_after or 0)
    assert written.created
    assert list(environment.rows(ORDER)) == [written.record_id]


async def test_an_order_that_cannot_be_looked_for_stays_in_doubt(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    environment.lose_answers(1, blind=1)
    with pytest.raises(TransientError, match="503"):
        await write_one(operations, order())
    assert not (await write_one(operations, order())).created
    assert len(environment.rows(ORDER)) == 1


async def test_a_throttled_create_is_not_in_doubt(operations: Operations, environment: OperationsEnvironment) -> None:
    environment.exhausted = "medium"
    with pytest.raises(TransientError) as caught:
        await write_one(operations, order())
    assert caught.value.retry_after == 5.0
    environment.priority = "high"
    assert (await write_one(operations, order())).created


async def test_what_x_plus_plus_refuses_is_permanent_and_says_why(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    with pytest.raises(PermanentError, match=r"'US-404'.*is not found in the related table") as caught:
        await write_one(operations, order(OrderingCustomerAccountNumber="US-404"))
    assert caught.value.code == "WRITE_REFUSED"
    assert environment.rows(ORDER) == {}
    assert (await write_one(operations, order())).created


async def test_a_reference_that_two_records_carry_is_refused(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    for _ in range(2):
        environment.create(ORDER, {"OrderingCustomerAccountNumber": "US-001", "CustomersOrderReference": "can-1"})
    with pytest.raises(PermanentError) as caught:
        await write_one(operations, order())
    assert caught.value.code == "MULTIPLE_MATCHES"


async def test_a_reference_in_other_letters_is_another(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    environment.create(ORDER, {"OrderingCustomerAccountNumber": "US-001", "CustomersOrderReference": "CAN-1"})
    assert (await write_one(operations, order())).created
    assert len(environment.rows(ORDER)) == 2


async def test_many_writes_are_answered_each_in_order(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    wishes = [order(f"can-{n}", OrderingCustomerAccountNumber="US-001" if n % 3 else "no") for n in range(20)]
    answers = await operations.write(wishes)
    assert [isinstance(answer, Written) for answer in answers] == [n % 3 != 0 for n in range(20)]
    stored = {row["CustomersOrderReference"]: key for key, row in environment.rows(ORDER).items()}
    for wish, answer in zip(wishes, answers, strict=True):
        if isinstance(answer, Written):
            assert stored[wish.external_id] == answer.record_id


# -- versions


async def test_a_version_is_the_etag_and_a_write_at_another_is_a_conflict(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    written = await write_one(operations, order())
    (before,) = await operations.read(ORDER, [written.record_id])
    assert before.version is not None
    assert before.version.startswith('W/"')
    environment.update(ORDER, written.record_id, {"CurrencyCode": "EUR"})
    with pytest.raises(ConflictError):
        await write_one(operations, order(record_id=written.record_id, version=before.version))
    (after,) = await operations.read(ORDER, [written.record_id])
    numbered = f"00000000000000000002 {after.version}"
    await write_one(operations, order(record_id=written.record_id, version=numbered, CurrencyCode="GBP"))
    assert environment.row(ORDER, written.record_id)["CurrencyCode"] == "GBP"
    for version in ("7", f"{numbered}.deleted"):
        with pytest.raises(ConflictError, match="no live record"):
            await write_one(operations, order(record_id=written.record_id, version=version))


# -- reading


async def test_a_scan_gives_every_record_once_over_all_pages(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    environment.page = 7
    ids = {environment.create(CUSTOMER, {"OrganizationName": f"N{number}"}) for number in range(40)}
    rows = await scanned(operations, CUSTOMER)
    assert len(rows) == 41
    assert ids < {row.record_id for row in rows}
    assert all(row.exists and row.version for row in rows)


async def test_a_scan_takes_pages_as_they_are_asked_for(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    environment.page = 1
    for number in range(3):
        environment.create(CUSTOMER, {"OrganizationName": f"N{number}"})
    rows = operations.scan(CUSTOMER)
    assert (await anext(rows)).exists
    environment.fail_next(1, 503, scope="reads")
    with pytest.raises(TransientError):
        await anext(rows)


async def test_what_changed_since_then_cannot_be_scanned(operations: Operations) -> None:
    with pytest.raises(PermanentError) as caught:
        await anext(operations.scan(ORDER, "2026-01-01T00:00:00Z"))
    assert caught.value.code == "UNSUPPORTED"


async def test_an_empty_date_is_none_and_the_change_stream_ends_at_once(operations: Operations) -> None:
    written = await write_one(operations, order())
    (row,) = await operations.read(ORDER, [written.record_id])
    assert row.fields["RequestedShippingDate"] is None
    assert [delivery async for delivery in operations.changes(None)] == []


def test_a_url_stays_short_however_many_keys_and_shares_what_they_share() -> None:
    ids = [f"dataAreaId='{company}',SalesOrderNumber='SO-{n:06d}'" for n in range(300) for company in ("usmf", "dat")]
    asked = list(conditions(OBJECTS[ORDER], [*ids, "nonsense", "SalesOrderNumber='1'"]))
    assert sum(one.count("SalesOrderNumber eq") for one in asked) == 600
    assert all(one.count("dataAreaId") == 1 for one in asked)
    assert all(len(query(OBJECTS[ORDER], one)) < URL_BYTES + 200 for one in asked)


# -- check


async def test_check_finds_wrong_names_keys_references_and_companies(environment: OperationsEnvironment) -> None:
    wrong = {
        ORDER: mapped(ORDER, "SalesOrderHeadersV2", "SalesOrderNumber", "OrderTotalAmount", "CurrencyCode"),
        CUSTOMER: mapped(CUSTOMER, "CustomersV9", "dataAreaId,CustomerAccount", "IsthmusId", "OrganizationName"),
        PRICE: OBJECTS[PRICE],
    }
    async with joined(environment, company="zzz") as system:
        system._objects = wrong
        findings = {finding.name: finding for finding in await system.check()}
    assert {name for name, finding in findings.items() if not finding.ok} == {
        "legal entity",
        CUSTOMER,
        f"{ORDER} key",
        f"{ORDER} reference",
    }
    assert findings[f"{ORDER} key"].hint == "set primary_key: dataAreaId,SalesOrderNumber"
    assert "CustomersV3" in findings[CUSTOMER].hint


async def test_provisioning_says_what_is_there_and_makes_nothing(operations: Operations) -> None:
    findings = await operations.provision(True)
    assert [finding for finding in findings if not finding.ok] == []
