"""A business day at two desks: people in Salesforce and people in Dynamics who create, change and delete customers.

Promises: a seed gives the same wishes in the same order; what a person picks depends only on the rows that are there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

CITIES = (
    ("Lyon", "69001", "France"),
    ("Ulm", "89073", "Germany"),
    ("Turin", "10121", "Italy"),
    ("Ghent", "9000", "Belgium"),
)
WORDS = ("Alder", "Birch", "Cedar", "Dover", "Ember", "Fjord", "Grove", "Haven", "Iris", "Juniper", "Kestrel", "Linden")
KINDS = ("Works", "Foods", "Logistics", "Energy", "Textiles", "Optics", "Bakery", "Marine")
TITLES = ("Buyer", "Head of Purchasing", "Controller", "Plant Manager", "Clerk", "CFO")
FIRST = ("Ada", "Ben", "Chloé", "Dmitri", "Eva", "Farid", "Grete", "Hugo", "Inès", "Jonas", "Klara", "Luís")


class Desk(Protocol):
    """What people can do in a system."""

    def create(self, object: str, fields: Mapping[str, Any]) -> str:
        """A new record's id."""
        ...

    def update(self, object: str, record_id: str, fields: Mapping[str, Any]) -> None:
        """Change some fields."""
        ...

    def delete(self, object: str, record_id: str) -> None:
        """Delete."""
        ...


Rows = Callable[[str], list[str]]


class Day:
    """`salesforce_ids(object)` and `dynamics_ids(table)` list the live records that people can see right now."""

    def __init__(
        self,
        salesforce: Desk,
        dynamics: Desk,
        salesforce_ids: Rows,
        dynamics_ids: Rows,
        *,
        seed: int = 1,
        size: int = 250,
    ) -> None:
        self._chance = random.Random(seed)
        self._salesforce = salesforce
        self._dynamics = dynamics
        self._salesforce_ids = salesforce_ids
        self._dynamics_ids = dynamics_ids
        self._size = size

    def morning(self) -> Iterator[str]:
        """New customers at both desks, most in Salesforce; yields a word for each wish done."""
        for number in range(self._size):
            if self._chance.random() < 0.75:
                account = self._salesforce.create("Account", self._account(number))
                yield "account"
                self._salesforce.create("Contact", {**self._contact(number), "AccountId": account})
                yield "contact"
            else:
                account = self._dynamics.create("account", self._dynamics_account(number))
                yield "account"
                self._dynamics.create("contact", {**self._dynamics_contact(number), "parentcustomerid": account})
                yield "contact"

    def afternoon(self) -> Iterator[str]:
        """Changes at both desks, often of the same customers at the same time, and a few deletes."""
        for number in range(self._size * 4):
            desk = self._chance.random()
            if desk < 0.45:
                yield from self._edit_salesforce(number)
            elif desk < 0.98:
                yield from self._edit_dynamics(number)
            else:
                yield from self._delete()

    # -- one wish each

    def _edit_salesforce(self, number: int) -> Iterator[str]:
        name, fields = self._chance.choice(
            (
                ("Account", {"Phone": self._phone(number)}),
                ("Account", {"Name": self._name(number), "NumberOfEmployees": self._chance.randrange(1, 900)}),
                ("Account", {"Website": None}),
                ("Account", self._address("Billing", number)),
                ("Contact", {"Title": self._chance.choice(TITLES), "MobilePhone": self._phone(number)}),
                ("Contact", {"Phone": None}),
                ("Contact", self._belonging("AccountId", self._salesforce_ids("Account"))),
            )
        )
        ids = self._salesforce_ids(name)
        if ids:
            self._salesforce.update(name, self._chance.choice(ids), fields)
            yield "edit"

    def _edit_dynamics(self, number: int) -> Iterator[str]:
        name, fields = self._chance.choice(
            (
                ("account", {"telephone1": self._phone(number)}),
                ("account", {"creditlimit": self._chance.randrange(1, 80) * 1000 + 0.5}),
                (
                    "account",
                    {"address1_line1": f"{number} Quay", "address1_city": "Porto", "address1_country": "Portugal"},
                ),
                ("account", {"websiteurl": f"https://c{number}.example"}),
                ("contact", {"jobtitle": self._chance.choice(TITLES)}),
                ("contact", {"telephone1": self._phone(number), "lastname": f"Married-{number}"}),
                ("contact", self._belonging("parentcustomerid", self._dynamics_ids("account"))),
            )
        )
        ids = self._dynamics_ids(name)
        if ids:
            self._dynamics.update(name, self._chance.choice(ids), fields)
            yield "edit"

    def _delete(self) -> Iterator[str]:
        if self._chance.random() < 0.5 and (ids := self._salesforce_ids("Contact")):
            self._salesforce.delete("Contact", self._chance.choice(ids))
            yield "delete"
        elif ids := self._dynamics_ids("contact"):
            self._dynamics.delete("contact", self._chance.choice(ids))
            yield "delete"

    # -- what people type

    def _belonging(self, lookup: str, accounts: list[str]) -> dict[str, Any]:
        """Somebody moves to another company, or leaves."""
        return {lookup: None if not accounts or self._chance.random() < 0.2 else self._chance.choice(accounts)}

    def _name(self, number: int) -> str:
        return f"{self._chance.choice(WORDS)} {self._chance.choice(KINDS)} {number}"

    def _phone(self, number: int) -> str:
        return f"+44 20 7946 {self._chance.randrange(1000):03d}{number % 10}"

    def _address(self, prefix: str, number: int) -> dict[str, Any]:
        city, code, country = self._chance.choice(CITIES)
        return {
            f"{prefix}Street": f"{number} Main Street",
            f"{prefix}City": city,
            f"{prefix}PostalCode": code,
            f"{prefix}Country": country,
        }

    def _account(self, number: int) -> dict[str, Any]:
        return {
            "Name": self._name(number),
            "AccountNumber": f"SF-{number:05d}",
            "Phone": self._phone(number),
            "Website": f"https://c{number}.example",
            **self._address("Billing", number),
        }

    def _contact(self, number: int) -> dict[str, Any]:
        return {
            "FirstName": self._chance.choice(FIRST),
            "LastName": f"{self._chance.choice(WORDS)}-{number}",
            "Email": f"sf{number}@example.com",
            "Phone": self._phone(number),
        }

    def _dynamics_account(self, number: int) -> dict[str, Any]:
        return {
            "name": self._name(number),
            "accountnumber": f"DY-{number:05d}",
            "telephone1": self._phone(number),
            "creditlimit": self._chance.randrange(1, 80) * 1000,
        }

    def _dynamics_contact(self, number: int) -> dict[str, Any]:
        return {
            "firstname": self._chance.choice(FIRST),
            "lastname": f"{self._chance.choice(WORDS)}-{number}",
            "emailaddress1": f"dy{number}@example.com",
            "jobtitle": self._chance.choice(TITLES),
        }
