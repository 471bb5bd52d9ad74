"""The environment's tables as data: columns with their types and limits, alternate keys, computed columns.

Promises: everything else in this package works from these declarations, so a further table is data only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Kind = Literal[
    "string", "int", "bigint", "decimal", "money", "bool", "picklist", "state", "status", "lookup", "datetime", "guid"
]


ACTIVITY = "activityid"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `options` label a choice; `states` give each status its state; `targets` map a lookup's navigation
    properties to tables, `inverse` the properties of those tables that list what refers to a row; a `secret` is never read
    back; `twin_of` names the money column that a base amount repeats. `source`: where its values come from (0 people,
    1 a calculation, 2 a roll-up, 3 a formula)."""

    name: str
    kind: Kind = "string"
    max_length: int = 100
    options: Mapping[int, str] = field(default_factory=dict)
    states: Mapping[int, int] = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)
    inverse: Mapping[str, str] = field(default_factory=dict)
    on_delete: Literal["remove_link", "cascade", "nothing"] = "nothing"
    low: int = -2147483648
    high: int = 2147483647
    default: Any = None
    writable: bool = True
    secret: bool = False
    twin_of: str | None = None
    source: Literal[0, 1, 2, 3] = 0

    @property
    def wire_name(self) -> str:
        """Its name in Web API JSON: a lookup `x` is `_x_value`."""
        return f"_{self.name}_value" if self.kind == "lookup" else self.name

    @property
    def is_choice(self) -> bool:
        """Its values are option numbers."""
        return self.kind in ("picklist", "state", "status")


@dataclass(frozen=True)
class Table:
    """One table. `keys`: alternate keys by name; `computed`: text columns made of others, joined by a space; `id_name`:
    the primary key column, where it is not called after the table."""

    name: str
    collection: str
    primary_name: str
    columns: Mapping[str, Column]
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    computed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    type_code: int = 10000
    internal: bool = False
    id_name: str = ""

    @property
    def primary_id(self) -> str:
        """The primary key column."""
        return self.id_name or f"{self.name}id"

    @property
    def right(self) -> str:
        """What its privileges are called after: all activities share theirs."""
        return "Activity" if self.id_name == ACTIVITY else self.name.capitalize()

    def by_wire_name(self, name: str) -> Column | None:
        """The column that Web API JSON calls so."""
        plain = name[1:-6] if name.startswith("_") and name.endswith("_value") else name
        column = self.columns.get(plain) or self.columns.get(name)
        return column if column is not None and column.wire_name == name else None

    def by_navigation(self, name: str) -> Column | None:
        """The lookup that has this navigation property."""
        return next((column for column in self.columns.values() if name in column.targets), None)


def copied(table: Table) -> Table:
    """The same table, whose columns and keys may be added to."""
    return replace(table, columns=dict(table.columns), keys=dict(table.keys))


def text(name: str, max_length: int = 100) -> Column:
    """A text column; its limit in characters."""
    return Column(name, "string", max_length)


def money(name: str) -> tuple[Column, Column]:
    """A money column and its read-only amount in base currency (dynamics.md §5.4)."""
    return Column(name, "money"), Column(f"{name}_base", "money", writable=False, twin_of=name)


def choice(name: str, *labels: str) -> Column:
    """A choice column whose options count from 1."""
    return Column(name, "picklist", options=dict(enumerate(labels, 1)))


def lookup(name: str, **targets: str) -> Column:
    """A lookup by navigation property; nothing happens to the row when its target is deleted."""
    return Column(name, "lookup", targets=targets)


STATE = Column("statecode", "state", options={0: "Active", 1: "Inactive"}, default=0)
STATUS = Column("statuscode", "status", options={1: "Active", 2: "Inactive"}, states={1: 0, 2: 1}, default=1)


def _system_columns(id_name: str) -> tuple[Column, ...]:
    users = {"createdby": "createdby", "modifiedby": "modifiedby", "modifiedonbehalfby": "modifiedonbehalfby"}
    return (
        Column(id_name, "guid"),
        Column("versionnumber", "bigint", writable=False),
        Column("createdon", "datetime", writable=False),
        Column("modifiedon", "datetime", writable=False),
        *(Column(user, "lookup", targets={user: "systemuser"}, writable=False) for user in users),
        lookup("ownerid", ownerid="systemuser"),
        Column("owningbusinessunit", "lookup", targets={"owningbusinessunit": "businessunit"}, writable=False),
        Column("timezoneruleversionnumber", "int", default=0, writable=False),
        STATE,
        STATUS,
    )


def _merge_columns(name: str) -> tuple[Column, Column]:
    """What a merge leaves on its loser."""
    master = Column("masterid", "lookup", targets={"masterid": name}, writable=False)
    return Column("merged", "bool", default=False, writable=False), master


def _currency_columns() -> tuple[Column, ...]:
    return (
        lookup("transactioncurrencyid", transactioncurrencyid="transactioncurrency"),
        Column("exchangerate", "decimal", writable=False),
    )


def table(
    name: str,
    collection: str,
    primary_name: str,
    *columns: Column,
    keys: Mapping[str, tuple[str, ...]] | None = None,
    computed: Mapping[str, tuple[str, ...]] | None = None,
    type_code: int = 10000,
    id_name: str = "",
) -> Table:
    """A table as people make them: these columns and the ones that the platform adds to every table."""
    currency = _currency_columns() if any(column.kind == "money" for column in columns) else ()
    every = {column.name: column for column in (*_system_columns(id_name or f"{name}id"), *currency, *columns)}
    return Table(name, collection, primary_name, every, keys or {}, computed or {}, type_code, id_name=id_name)


def internal(name: str, primary_name: str, *columns: Column, collection: str = "") -> Table:
    """A table of the platform's own: only its id, its version and these columns; its writes raise no webhooks."""
    own = (Column(f"{name}id", "guid"), Column("versionnumber", "bigint", writable=False))
    every = {column.name: column for column in (*own, *columns)}
    return Table(name, collection or f"{name}s", primary_name, every, internal=True)


ACCOUNT = table(
    "account",
    "accounts",
    "name",
    text("name", 160),
    text("accountnumber", 20),
    text("telephone1", 50),
    text("websiteurl", 200),
    Column("numberofemployees", "int", low=0, high=1000000000),
    *money("creditlimit"),
    text("address1_line1", 250),
    text("address1_city", 80),
    text("address1_postalcode", 20),
    text("address1_country", 80),
    lookup("parentaccountid", parentaccountid="account"),
    *_merge_columns("account"),
    choice("industrycode", "Accounting", "Agriculture and Non-petrol Natural Resource Extraction", "Broadcasting"),
    text("isthmus_id", 100),
    keys={"isthmus_key": ("isthmus_id",)},
    type_code=1,
)

CONTACT = table(
    "contact",
    "contacts",
    "fullname",
    text("firstname", 50),
    text("lastname", 50),
    Column("fullname", "string", 160, writable=False),
    text("emailaddress1", 100),
    text("telephone1", 50),
    text("mobilephone", 50),
    text("jobtitle", 100),
    Column(
        "parentcustomerid",
        "lookup",
        targets={"parentcustomerid_account": "account", "parentcustomerid_contact": "contact"},
        inverse={"contact_customer_accounts": "account", "contact_customer_contacts": "contact"},
        on_delete="cascade",
    ),
    *_merge_columns("contact"),
    text("isthmus_id", 100),
    keys={"isthmus_key": ("isthmus_id",)},
    computed={"fullname": ("firstname", "lastname")},
    type_code=2,
)

# An activity: open until it is completed or canceled, about one row of several tables (powerapps-docs, task).
TASK = table(
    "task",
    "tasks",
    "subject",
    text("subject", 200),
    text("description", 2000),
    Column("prioritycode", "picklist", options={0: "Low", 1: "Normal", 2: "High"}, default=1),
    Column(
        "regardingobjectid",
        "lookup",
        targets={"regardingobjectid_account_task": "account", "regardingobjectid_contact_task": "contact"},
        inverse={"Account_Tasks": "account", "Contact_Tasks": "contact"},
    ),
    Column("statecode", "state", options={0: "Open", 1: "Completed", 2: "Canceled"}, default=0),
    Column(
        "statuscode",
        "status",
        options={
            2: "Not Started",
            3: "In Progress",
            4: "Waiting on someone else",
            5: "Completed",
            6: "Canceled",
            7: "Deferred",
        },
        states={2: 0, 3: 0, 4: 0, 5: 1, 6: 2, 7: 0},
        default=2,
    ),
    text("isthmus_id", 100),
    keys={"isthmus_key": ("isthmus_id",)},
    type_code=4212,
    id_name=ACTIVITY,
)

STANDARD_TABLES = (ACCOUNT, CONTACT, TASK)
