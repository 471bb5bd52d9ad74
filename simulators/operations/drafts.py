"""What is drafted from outside and posted by a person: trade agreement journals with their prices, free text invoices.

Promises: columns and keys are the real ones (the metadata as the SAP Cloud SDK publishes it); nothing of it is posted by
OData. A journal that is posted is open no more, so its entities show it no more, and its prices are agreements; an invoice
that is posted has its number and is changed no more.
"""

from __future__ import annotations

from isthmus.simulators.operations.environment import OperationsEnvironment
from isthmus.simulators.operations.schema import (
    COMPANY,
    CUSTOMER,
    PRICE,
    PRODUCT,
    Column,
    Sequence,
    entity,
    enum,
    no_yes,
    real,
    text,
)

PRICE_JOURNAL, PRICE_LINE = "OpenTradeAgreementJournalHeaderV2Entity", "OpenSalesPriceJournalLineV2Entity"
FREE_INVOICE, FREE_INVOICE_LINE = "FreeTextInvoiceHeaderEntity", "FreeTextInvoiceLineEntity"
NOT_POSTED = "Not posted"

DRAFT_ENTITIES = (
    entity(
        PRICE_JOURNAL,
        "OpenTradeAgreementJournalHeaderV2",
        "OpenTradeAgreementJournalHeadersV2",
        (COMPANY, "JournalNumber"),
        (
            Column("JournalNumber", length=20),
            Column("TradeAgreementJournalNameId", length=10, mandatory=True),
            *text("JournalDescription"),
            enum("DefaultTradeAgreementType", "PriceType", "PriceSales", "PricePurch", "LineDiscSales"),
        ),
        sequences=(Sequence("JournalNumber", "TA-{:06d}"),),
    ),
    entity(
        PRICE_LINE,
        "OpenSalesPriceJournalLineV2",
        "OpenSalesPriceJournalLinesV2",
        (COMPANY, "TradeAgreementJournalNumber", "LineNumber"),
        (
            Column("TradeAgreementJournalNumber", mandatory=True, refers=(PRICE_JOURNAL, "JournalNumber")),
            Column("LineNumber", "real"),
            Column("ItemNumber", length=20, mandatory=True, refers=(PRODUCT, "ItemNumber")),
            *text("PriceCurrencyCode", "PriceCustomerGroupCode", "CustomerAccountNumber", "QuantityUnitSymbol"),
            *real("Price", "SalesPriceQuantity", "FromQuantity", "ToQuantity"),
            Column("PriceApplicableFromDate", "date"),
            Column("PriceApplicableToDate", "date"),
            Column("IsthmusId", length=64),
        ),
        sequences=(Sequence("LineNumber", within="TradeAgreementJournalNumber"),),
    ),
    entity(
        FREE_INVOICE,
        "FreeTextInvoiceHeader",
        "FreeTextInvoiceHeaders",
        (COMPANY, "InvoiceIdentifier"),
        (
            Column("InvoiceIdentifier", "int64"),
            Column("CustomerAccount", length=20, mandatory=True, refers=(CUSTOMER, "CustomerAccount")),
            *text("InvoiceAccount", "CurrencyCode", "CustomerReference", "TermsOfPayment"),
            Column("FreeTextNumber", editable=False),
            Column("IsPosted", "enum", enum="NoYes", options=("No", "Yes"), editable=False),
            Column("InvoiceDate", "date"),
        ),
        sequences=(Sequence("InvoiceIdentifier", "6871{:06d}"),),
        defaults={"FreeTextNumber": NOT_POSTED},
        closed_by="IsPosted",
    ),
    entity(
        FREE_INVOICE_LINE,
        "FreeTextInvoiceLine",
        "FreeTextInvoiceLines",
        (COMPANY, "LineNumber", "ParentRecId"),
        (
            Column("LineNumber", "real"),
            Column("ParentRecId", "int64", mandatory=True, refers=(FREE_INVOICE, "InvoiceIdentifier")),
            *text("Description", "MainAccountDisplayValue", "CurrencyCode", "ExternalInvoiceId"),
            *real("Quantity", "UnitPrice", "TransactionCurrencyAmount"),
            no_yes("OverrideSalesTax"),
        ),
        sequences=(Sequence("LineNumber", within="ParentRecId"),),
    ),
)
AGREED = ("ItemNumber", "PriceCurrencyCode", "PriceCustomerGroupCode", "CustomerAccountNumber", "Price")


def post_prices(environment: OperationsEnvironment, journal: str) -> list[str]:
    """A person posts a trade agreement journal; the keys of the agreements that its lines became."""
    header = environment.found(PRICE_JOURNAL, journal)
    own = {COMPANY: header.values[COMPANY], "TradeAgreementJournalNumber": header.values["JournalNumber"]}
    made = []
    for line in environment.store.all(PRICE_LINE):
        if own.items() <= line.values.items():
            agreed = {name: line.values[name] for name in (COMPANY, *AGREED)}
            made.append(environment.create(PRICE, agreed))
            environment.deleted(line, environment.person)
    environment.deleted(header, environment.person)
    return made


def post_free_invoice(environment: OperationsEnvironment, invoice: str, number: str) -> None:
    """A person posts a free text invoice."""
    environment.update(FREE_INVOICE, invoice, {"IsPosted": "Yes", "FreeTextNumber": number})
