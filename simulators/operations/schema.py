"""The environment's data entities as data: columns with their types and lengths, keys, number sequences.

Promises: everything else in this package works from these declarations, so a further entity is data only. Names are the
real ones (dynamics.md §5.3), but for `Isthmus…`, which are extension columns as an operator would add them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

COMPANY = "dataAreaId"
NAMESPACE = "Microsoft.Dynamics.DataEntities"
NO_DATE, NO_MOMENT = "1900-01-01T12:00:00Z", "1900-01-01T00:00:00Z"
Kind = Literal["text", "real", "int", "int64", "date", "moment", "enum"]
EDM = {
    "text": "Edm.String",
    "real": "Edm.Decimal",
    "int": "Edm.Int32",
    "int64": "Edm.Int64",
    "date": "Edm.DateTimeOffset",
    "moment": "Edm.DateTimeOffset",
}
EMPTY: Mapping[str, Any] = {"text": "", "real": 0, "int": 0, "int64": 0, "date": NO_DATE, "moment": NO_MOMENT}


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `options` are an enum's symbols, the first its default; `refers`: an entity and its column that must
    hold the value in the same company; `mandatory` and `editable` are about people and OData alike."""

    name: str
    kind: Kind = "text"
    length: int = 60
    enum: str = ""
    options: tuple[str, ...] = ()
    mandatory: bool = False
    editable: bool = True
    refers: tuple[str, str] | None = None

    @property
    def type_name(self) -> str:
        """Its type in metadata."""
        return f"{NAMESPACE}.{self.enum}" if self.kind == "enum" else EDM[self.kind]

    @property
    def empty(self) -> Any:
        """What stands where nobody set it: F&O has no null."""
        return self.options[0] if self.kind == "enum" else EMPTY[self.kind]


@dataclass(frozen=True, slots=True)
class Sequence:
    """A number sequence for a key column, such as `SO-000001`; `within`: counts lines of that column's value instead."""

    column: str
    form: str = "{:06d}"
    within: str | None = None


@dataclass(frozen=True)
class Entity:
    """One data entity: its own name, its public name, its collection. `closed_by`: the column whose `Yes` says that a
    row is changed no more."""

    name: str
    public: str
    collection: str
    keys: tuple[str, ...]
    columns: Mapping[str, Column]
    sequences: tuple[Sequence, ...] = ()
    read_only: bool = False
    closed_by: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)


def entity(
    name: str, public: str, collection: str, keys: tuple[str, ...], columns: tuple[Column, ...], **more: Any
) -> Entity:
    """An entity; a key by company has the company's column."""
    company = (Column(COMPANY, length=4),) if COMPANY in keys else ()
    return Entity(name, public, collection, keys, {one.name: one for one in (*company, *columns)}, **more)


def text(*names: str, **more: Any) -> tuple[Column, ...]:
    """Text columns."""
    return tuple(Column(name, **more) for name in names)


def real(*names: str) -> tuple[Column, ...]:
    """Amounts and quantities."""
    return tuple(Column(name, "real") for name in names)


def enum(name: str, kind: str, *options: str, **more: Any) -> Column:
    """An enum column."""
    return Column(name, "enum", enum=kind, options=options, **more)


def no_yes(name: str) -> Column:
    """A boolean as F&O knows it."""
    return enum(name, "NoYes", "No", "Yes")


ORDER, LINE, CUSTOMER = "SalesOrderHeaderV2Entity", "SalesOrderLineV2Entity", "CustCustomerV3Entity"
PRODUCT, PRICE, INVOICE = "EcoResReleasedProductV2Entity", "SalesPriceAgreementEntity", "SalesInvoiceHeaderV2Entity"
JOURNAL, JOURNAL_LINE = "LedgerJournalHeaderEntity", "LedgerJournalLineEntity"

STANDARD_ENTITIES = (
    entity(
        CUSTOMER,
        "CustomerV3",
        "CustomersV3",
        (COMPANY, "CustomerAccount"),
        (
            Column("CustomerAccount", length=20),
            Column("OrganizationName", length=100, mandatory=True),
            *text("NameAlias", "OrganizationNumber", "CustomerGroupId", "SalesCurrencyCode", "PrimaryContactEmail"),
            *text("PrimaryContactPhone", "PrimaryContactURL", "AddressStreet", length=250),
            *text("AddressCity", "AddressZipCode", "AddressCountryRegionId"),
            *real("CreditLimit"),
            no_yes("CreditLimitIsMandatory"),
            Column("IsthmusEmployees", "int"),
            Column("IsthmusId", length=64),
        ),
        sequences=(Sequence("CustomerAccount", "C-{:06d}"),),
    ),
    entity(
        ORDER,
        "SalesOrderHeaderV2",
        "SalesOrderHeadersV2",
        (COMPANY, "SalesOrderNumber"),
        (
            Column("SalesOrderNumber", length=20),
            Column("OrderingCustomerAccountNumber", length=20, mandatory=True, refers=(CUSTOMER, "CustomerAccount")),
            *text("InvoiceCustomerAccountNumber", "CurrencyCode", "LanguageId", "CustomerRequisitionNumber"),
            *text("CustomersOrderReference", "SalesOrderName", length=60),
            *real("OrderTotalAmount"),
            Column("RequestedShippingDate", "date"),
            enum("SalesOrderStatus", "SalesStatus", "None", "Backorder", "Delivered", "Invoiced", "Canceled"),
            enum(
                "SalesOrderProcessingStatus",
                "SalesOrderProcessingStatus",
                "Active",
                "Confirmed",
                "Delivered",
                "Invoiced",
                editable=False,
            ),
        ),
        sequences=(Sequence("SalesOrderNumber", "SO-{:06d}"),),
        defaults={"SalesOrderStatus": "Backorder"},
    ),
    entity(
        LINE,
        "SalesOrderLineV2",
        "SalesOrderLinesV2",
        (COMPANY, "InventoryLotId"),
        (
            Column("InventoryLotId", length=20, editable=False),
            Column("SalesOrderNumber", length=20, mandatory=True, refers=(ORDER, "SalesOrderNumber")),
            Column("LineNumber", "real"),
            Column("ItemNumber", length=20, mandatory=True, refers=(PRODUCT, "ItemNumber")),
            *text("SalesUnitSymbol", "CustomersLineReference"),
            *real("OrderedSalesQuantity", "SalesPrice", "SalesPriceQuantity", "LineAmount"),
            enum("SalesOrderLineStatus", "SalesStatus", "None", "Backorder", "Delivered", "Invoiced", "Canceled"),
        ),
        sequences=(Sequence("InventoryLotId"), Sequence("LineNumber", within="SalesOrderNumber")),
    ),
    entity(
        PRODUCT,
        "ReleasedProductV2",
        "ReleasedProductsV2",
        (COMPANY, "ItemNumber"),
        (
            Column("ItemNumber", length=20),
            *text("ProductNumber", "SearchName", "ProductName", "SalesUnitSymbol", "ItemModelGroupId"),
            *real("SalesPrice"),
        ),
        sequences=(Sequence("ItemNumber", "I-{:06d}"),),
    ),
    entity(
        PRICE,
        "SalesPriceAgreement",
        "SalesPriceAgreements",
        ("RecordId",),
        (
            Column("RecordId", "int64"),
            *text("ItemNumber", "PriceCurrencyCode", "PriceCustomerGroupCode", "CustomerAccountNumber"),
            *text("QuantityUnitySymbol", COMPANY),
            *real("Price", "SalesPriceQuantity", "FromQuantity", "ToQuantity"),
            Column("PriceApplicableFromDate", "date"),
            Column("PriceApplicableToDate", "date"),
        ),
        sequences=(Sequence("RecordId", "5637{:06d}"),),
        read_only=True,
    ),
    entity(
        JOURNAL,
        "LedgerJournalHeader",
        "LedgerJournalHeaders",
        (COMPANY, "JournalBatchNumber"),
        (
            Column("JournalBatchNumber", length=20, editable=False),
            Column("JournalName", length=10, mandatory=True),
            *text("Description", "IntegrationKey"),
            Column("IsPosted", "enum", enum="NoYes", options=("No", "Yes"), editable=False),
            *real("JournalTotalDebit", "JournalTotalCredit"),
        ),
        sequences=(Sequence("JournalBatchNumber", "{:05d}"),),
    ),
    entity(
        JOURNAL_LINE,
        "LedgerJournalLine",
        "LedgerJournalLines",
        (COMPANY, "JournalBatchNumber", "LineNumber"),
        (
            Column("JournalBatchNumber", length=20, mandatory=True, refers=(JOURNAL, "JournalBatchNumber")),
            Column("LineNumber", "real"),
            *real("DebitAmount", "CreditAmount"),
            *text("AccountDisplayValue", "OffsetAccountDisplayValue", "CurrencyCode", "Voucher", "Text", "Company"),
            enum("AccountType", "LedgerJournalACType", "Ledger", "Cust", "Vend", "Bank"),
            Column("TransDate", "date"),
        ),
        sequences=(Sequence("LineNumber", within="JournalBatchNumber"),),
    ),
    entity(
        INVOICE,
        "SalesInvoiceHeaderV2",
        "SalesInvoiceHeadersV2",
        (COMPANY, "InvoiceNumber", "InvoiceDate", "LedgerVoucher"),
        (
            Column("InvoiceNumber", length=20),
            Column("InvoiceDate", "date"),
            Column("LedgerVoucher", length=20),
            *text("SalesOrderNumber", "InvoiceCustomerAccountNumber", "CurrencyCode"),
            *real("TotalInvoiceAmount", "TotalTaxAmount"),
        ),
        read_only=True,
    ),
    entity(
        "OMLegalEntity",
        "LegalEntity",
        "LegalEntities",
        ("LegalEntityId",),
        (Column("LegalEntityId", length=4), Column("Name")),
        read_only=True,
    ),
)
