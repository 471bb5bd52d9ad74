"""The simulated platforms, each with an adapter to it, as the conformance suite asks them all the same questions.

A further platform is one more factory in `WORLDS`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from one import write_one

from isthmus.config.mapping import SystemMapping, load_mappings
from isthmus.simulators.dynamics import DynamicsEnvironment, serve_dynamics
from isthmus.simulators.operations import CUSTOMER, ORDER, OperationsEnvironment, serve_operations
from isthmus.simulators.salesforce import SalesforceOrg, serve_salesforce
from isthmus.systems.dynamics.adapter import Dynamics, DynamicsConfig
from isthmus.systems.operations.adapter import Operations, OperationsConfig
from isthmus.systems.protocol import Reference, Row, System, Write, Written
from isthmus.systems.salesforce.adapter import Salesforce, SalesforceConfig

MAPPINGS = load_mappings()
CUSTOMERS = SystemMapping(
    object=CUSTOMER,
    collection="CustomersV3",
    primary_key="dataAreaId,CustomerAccount",
    external_id="IsthmusId",
    fields={
        "name": "OrganizationName",
        "account_number": "OrganizationNumber",
        "phone": "PrimaryContactPhone",
        "website": "PrimaryContactURL",
        "employees": "IsthmusEmployees",
        "credit_limit": "CreditLimit",
        "billing_street": "AddressStreet",
        "billing_city": "AddressCity",
        "billing_postal_code": "AddressZipCode",
        "billing_country": "AddressCountryRegionId",
    },
)


ORDERS = SystemMapping(
    object=ORDER,
    collection="SalesOrderHeadersV2",
    primary_key="dataAreaId,SalesOrderNumber",
    external_id="CustomersOrderReference",
    fields={"customer": "OrderingCustomerAccountNumber", "currency": "CurrencyCode"},
)


class People(Protocol):
    """What the simulators let people do."""

    def create(self, object: str, fields: Mapping[str, Any]) -> str: ...
    def update(self, object: str, record_id: str, fields: Mapping[str, Any]) -> None: ...
    def delete(self, object: str, record_id: str) -> None: ...
    def rows(self, object: str) -> Mapping[str, Mapping[str, Any]]: ...
    def expire_tokens(self) -> None: ...


@dataclass(frozen=True)
class World:
    """A platform with its people, and adapters to it. `adapter(objects, secret, url)`: None is the right one. `dated`:
    its reads tell when a record changed; `keyed`: it knows which fields can be an external id; `recalls`: it tells what
    changed since a time. `child`: a record (object, lookup field, its field for the lookup as stored, further fields) that
    may belong to one of `entity`."""

    system: System
    people: People
    entity: SystemMapping
    unknown_id: str
    adapter: Callable[..., System]
    fail: Callable[[int, float | None], None]
    child: tuple[str, str, str, Mapping[str, Any]]
    dated: bool = True
    keyed: bool = True
    recalls: bool = True

    def fields(self, **canonical: Any) -> dict[str, Any]:
        """Fields under the platform's names."""
        return {self.entity.fields[name]: value for name, value in canonical.items()}

    def create(self, **canonical: Any) -> str:
        return self.people.create(self.entity.object, self.fields(name="Alder", **canonical))

    async def read(self, *record_ids: str) -> list[Row]:
        return await self.system.read(self.entity.object, record_ids)

    async def write(self, key: str, record_id: str | None, **canonical: Any) -> Written:
        return await write_one(self.system, Write(self.entity.object, key, record_id, self.fields(**canonical)))

    def upsert(self, key: str, **canonical: Any) -> Write:
        return Write(self.entity.object, key, None, self.fields(**canonical))

    def belonging(self, key: str, parent: str) -> Write:
        """A child of the record with this external id."""
        object_, lookup, _, fields = self.child
        return Write(object_, key, None, fields, references={lookup: Reference(self.entity.object, parent)})

    def owner_of(self, child_id: str) -> Any:
        """The lookup of a child as stored."""
        return self.people.rows(self.child[0])[child_id][self.child[2]]

    async def scan(self, since: str | None = None) -> list[Row]:
        return [row async for row in self.system.scan(self.entity.object, since)]

    def stored(self, record_id: str) -> Mapping[str, Any]:
        """A row as the platform keeps it, under canonical names."""
        row = self.people.rows(self.entity.object)[record_id]
        return {name: row[native] for name, native in self.entity.fields.items()}


@asynccontextmanager
async def salesforce() -> AsyncIterator[World]:
    org = SalesforceOrg(seed=3)
    async with serve_salesforce(org) as url:
        config = SalesforceConfig(url, org.client_id, org.client_secret)

        def adapter(objects: Any = None, secret: str | None = None, url: str | None = None) -> System:
            changed = replace(config, client_secret=secret or config.client_secret, login_url=url or config.login_url)
            return Salesforce(changed, objects or MAPPINGS.objects("salesforce"))

        def fail(times: int, retry_after: float | None) -> None:
            body = [{"errorCode": "SERVER_UNAVAILABLE", "message": "busy", "fields": []}]
            org.fail_next(times, 503, body, retry_after=retry_after)

        entity = MAPPINGS.entities["account"].systems["salesforce"]
        child = ("Contact", "AccountId", "AccountId", {"LastName": "Moss"})
        yield World(adapter(), org, entity, "001000000000042AAA", adapter, fail, child)


@asynccontextmanager
async def dynamics() -> AsyncIterator[World]:
    environment = DynamicsEnvironment(seed=3)
    async with serve_dynamics(environment) as served:
        here = served.http_url
        secret_of = environment.client_secret
        config = DynamicsConfig(here, here, environment.tenant, environment.client_id, secret_of)

        def adapter(objects: Any = None, secret: str | None = None, url: str | None = None) -> System:
            changed = replace(config, client_secret=secret or secret_of, authority=url or here, url=url or here)
            return Dynamics(changed, objects or MAPPINGS.objects("dynamics"))

        def fail(times: int, retry_after: float | None) -> None:
            environment.fail_next(times, 429, "0x80072322", retry_after=retry_after)

        entity = MAPPINGS.entities["account"].systems["dynamics"]
        child = ("contact", "parentcustomerid_account", "parentcustomerid", {"lastname": "Moss"})
        yield World(adapter(), environment, entity, "11111111-2222-4333-8444-555555555555", adapter, fail, child)


@asynccontextmanager
async def operations() -> AsyncIterator[World]:
    environment = OperationsEnvironment(seed=3)
    async with serve_operations(environment) as here:
        config = OperationsConfig(
            here, here, environment.tenant, environment.client_id, environment.client_secret, environment.company
        )

        def adapter(objects: Any = None, secret: str | None = None, url: str | None = None) -> System:
            secret_of = secret or config.client_secret
            changed = replace(config, client_secret=secret_of, authority=url or here, url=url or here)
            return Operations(changed, objects or {CUSTOMER: CUSTOMERS, ORDER: ORDERS})

        def fail(times: int, retry_after: float | None) -> None:
            environment.fail_next(times, 429, retry_after=retry_after)

        child = (ORDER, "OrderingCustomerAccountNumber", "OrderingCustomerAccountNumber", {"CurrencyCode": "USD"})
        unknown = "dataAreaId='usmf',CustomerAccount='C-999999'"
        yield World(
            adapter(), environment, CUSTOMERS, unknown, adapter, fail, child, dated=False, keyed=False, recalls=False
        )


WORLDS = {"salesforce": salesforce, "dynamics": dynamics, "operations": operations}
