"""Prices and invoices, as far as OData lets anybody write them: drafted by us, posted by a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from mapped import mapped
from one import write_one

from isthmus.config.errors import ConflictError, PermanentError, PlatformError
from isthmus.simulators.operations import (
    CUSTOMER,
    PRICE,
    PRODUCT,
    STANDARD_ENTITIES,
    OperationsEnvironment,
    serve_operations,
)
from isthmus.simulators.operations.drafts import (
    DRAFT_ENTITIES,
    FREE_INVOICE,
    FREE_INVOICE_LINE,
    PRICE_JOURNAL,
    PRICE_LINE,
    post_free_invoice,
    post_prices,
)
from isthmus.systems.operations.adapter import Operations, OperationsConfig
from isthmus.systems.protocol import Reference, Write, Written

OBJECTS = {
    one.object: one
    for one in (
        mapped(
            PRICE_JOURNAL,
            "OpenTradeAgreementJournalHeadersV2",
            "dataAreaId,JournalNumber",
            "JournalDescription",
            "TradeAgreementJournalNameId",
        ),
        mapped(
            PRICE_LINE,
            "OpenSalesPriceJournalLinesV2",
            "dataAreaId,TradeAgreementJournalNumber,LineNumber",
            "IsthmusId",
            "TradeAgreementJournalNumber",
            "ItemNumber",
            "Price",
        ),
        mapped(PRICE, "SalesPriceAgreements", "RecordId", "ItemNumber", "Price"),
        mapped(
            FREE_INVOICE,
            "FreeTextInvoiceHeaders",
            "dataAreaId,InvoiceIdentifier",
            "CustomerReference",
            "CustomerAccount",
            "FreeTextNumber",
        ),
        mapped(
            FREE_INVOICE_LINE,
            "FreeTextInvoiceLines",
            "dataAreaId,LineNumber,ParentRecId",
            "ExternalInvoiceId",
            "ParentRecId",
            "Description",
            "Quantity",
            "UnitPrice",
        ),
    )
}
JOURNAL = Write(PRICE_JOURNAL, "can-1", None, {"TradeAgreementJournalNameId": "Price"})


@pytest.fixture
def environment() -> OperationsEnvironment:
    environment = OperationsEnvironment(seed=7, entities=(*STANDARD_ENTITIES, *DRAFT_ENTITIES))
    environment.create(CUSTOMER, {"CustomerAccount": "US-001", "OrganizationName": "Alder"})
    environment.create(PRODUCT, {"ItemNumber": "D-1", "SearchName": "Desk"})
    return environment


@pytest.fixture
async def operations(environment: OperationsEnvironment) -> AsyncIterator[Operations]:
    async with serve_operations(environment) as here:
        known = (environment.tenant, environment.client_id, environment.client_secret, environment.company)
        system = Operations(OperationsConfig(here, here, *known, settle=0.2), OBJECTS)
        await system.open()
        yield system
        await system.close()


def line(reference: str, column: str, parent: Reference, object: str, **fields: Any) -> Write:
    return Write(object, reference, None, fields, references={column: parent})


def price(amount: float) -> Write:
    parent = Reference(PRICE_JOURNAL, "can-1")
    return line("can-1/1", "TradeAgreementJournalNumber", parent, PRICE_LINE, ItemNumber="D-1", Price=amount)


def written(told: list[Written | PlatformError]) -> list[Written]:
    good = [one for one in told if isinstance(one, Written)]
    assert len(good) == len(told), told
    return good


# -- prices


async def test_a_price_is_drafted_in_a_journal_and_is_an_agreement_once_a_person_posts_it(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    header, draft = written(await operations.write([JOURNAL, price(12.5)]))
    assert header.record_id == "dataAreaId='usmf',JournalNumber='TA-000001'"
    assert draft.record_id == "dataAreaId='usmf',TradeAgreementJournalNumber='TA-000001',LineNumber=1"
    again = written(await operations.write([JOURNAL, price(13.5)]))
    assert [one.record_id for one in again] == [header.record_id, draft.record_id], "a repeat drafts no second journal"
    (agreed,) = post_prices(environment, header.record_id)
    (row,) = await operations.read(PRICE, [agreed])
    assert row.fields["Price"] == 13.5


async def test_a_draft_that_was_posted_meanwhile_is_read_again_and_not_drafted_anew(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    header, draft = written(await operations.write([JOURNAL, price(12.5)]))
    post_prices(environment, header.record_id)
    (told,) = await operations.write([Write(PRICE_LINE, "can-1/1", draft.record_id, {"Price": 14.0})])
    assert isinstance(told, ConflictError)
    assert not environment.rows(PRICE_LINE)


async def test_an_agreement_itself_is_written_by_nobody(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    agreed = environment.create(PRICE, {"ItemNumber": "D-1", "Price": 12.5})
    with pytest.raises(PermanentError, match="read-only"):
        await write_one(operations, Write(PRICE, "x", agreed, {"Price": 14.0}))


# -- invoices


async def test_an_invoice_is_drafted_with_its_lines_and_once_posted_its_number_is_read_and_nothing_changes(
    operations: Operations, environment: OperationsEnvironment
) -> None:
    parent = Reference(FREE_INVOICE, "can-9")
    invoice = Write(FREE_INVOICE, "can-9", None, {"CustomerAccount": "US-001"})
    entry = line("can-9/1", "ParentRecId", parent, FREE_INVOICE_LINE, Description="Visit", Quantity=2, UnitPrice=80)
    header, first = written(await operations.write([invoice, entry]))
    again = written(await operations.write([invoice, entry]))
    assert [one.record_id for one in again] == [header.record_id, first.record_id]
    assert (len(environment.rows(FREE_INVOICE)), len(environment.rows(FREE_INVOICE_LINE))) == (1, 1)
    post_free_invoice(environment, header.record_id, "FTI-00000017")
    (row,) = await operations.read(FREE_INVOICE, [header.record_id])
    assert row.fields["FreeTextNumber"] == "FTI-00000017"
    with pytest.raises(PermanentError, match="is posted and cannot be changed"):
        await write_one(operations, Write(FREE_INVOICE, "can-9", header.record_id, {"CustomerAccount": "US-001"}))
