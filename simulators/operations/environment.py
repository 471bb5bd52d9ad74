"""The environment: what people do in it, the events that this raises, and what is still to be delivered. No I/O.

Promises: a seed and the same wishes give the same ids, numbers and events; used from the thread of one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from isthmus.simulators.dynamics.authority import Application, Authority
from isthmus.simulators.operations import faults
from isthmus.simulators.operations.events import Endpoint, Posting, business_event, data_event, date
from isthmus.simulators.operations.schema import (
    COMPANY,
    INVOICE,
    NO_DATE,
    NO_MOMENT,
    ORDER,
    STANDARD_ENTITIES,
    Entity,
)
from isthmus.simulators.operations.setup import ENDPOINTS, ROLES, SENT, SETUP_ENTITIES
from isthmus.simulators.operations.store import Row, Store
from isthmus.simulators.operations.trouble import Trouble

PAGE = 10_000
ENDPOINTS_AN_EVENT = 10
INVOICE_POSTED = "SalesInvoicePostedBusinessEvent"


class Courier(Protocol):
    """Who delivers events while the environment is served."""

    def wake(self) -> None:
        """There is something in the outbox."""


class OperationsEnvironment(Trouble):
    """One Finance & Operations environment with its Entra tenant.

    `company` is the legal entity that the application user works in by default; `page` the rows a page; `attempts` and
    `retry_wait` (seconds) are those of the business events parameters. `errors` are events that nobody took.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        entities: Iterable[Entity] = STANDARD_ENTITIES,
        company: str = "usmf",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        token_lifetime: int = 3599,
    ) -> None:
        super().__init__(seed)
        self.now = clock
        self.company = company
        self.page = PAGE
        self.attempts, self.retry_wait = 3, 1.0
        self.version = "10.0.2177.33"
        self.store = Store((*entities, *SETUP_ENTITIES), seed)
        self._ids = random.Random(f"operations/{seed}")
        self.tenant, self.client_id, self.user, self.person = (self.new_id() for _ in range(4))
        self.client_secret = f"sim-secret-{self._ids.getrandbits(64):016x}"
        self.authority = Authority(self.tenant, clock, lifetime=token_lifetime, seed=seed)
        self.authority.register(Application(self.client_id, self.client_secret, self.user))
        self.outbox: deque[Posting] = deque()
        self.errors: list[Posting] = []
        self.courier: Courier | None = None
        self._subscribers: dict[str, list[Endpoint]] = {}
        self._addresses: dict[str, Endpoint] = {}
        self._control = 5_637_145_329
        self._in_flight = 0
        self._waiting: list[asyncio.Future[None]] = []
        for name in {company, "dat"}:
            self.store.create(self.store.entities["OMLegalEntity"], {"LegalEntityId": name}, name)

    # -- what people do

    def create(self, object: str, fields: Mapping[str, Any]) -> str:
        """A person's new row of a data entity, in the default company unless they say another; its key as text."""
        return self.created(self.entity(object), fields, self.company, self.person).id

    def update(self, object: str, record_id: str, fields: Mapping[str, Any]) -> None:
        """A person changes these columns; None empties."""
        self.updated(self.found(object, record_id), fields, self.person)

    def delete(self, object: str, record_id: str) -> None:
        """A person deletes the row."""
        self.deleted(self.found(object, record_id), self.person)

    def rows(self, object: str) -> dict[str, dict[str, Any]]:
        """Every row by its key: all columns as people see them, None where nothing is."""
        return {row.id: _seen(row) for row in self.store.all(object)}

    def row(self, object: str, record_id: str) -> dict[str, Any]:
        """One row, as in `rows`."""
        return _seen(self.found(object, record_id))

    def expire_tokens(self) -> None:
        """Every token issued so far is answered with 401 from now on."""
        self.authority.expire_tokens()

    def post_invoice(self, order_id: str, number: str, amount: float) -> None:
        """A person posts the invoice of an order: the order is invoiced, the event tells of it."""
        order = self.found(ORDER, order_id)
        at, values = self.now(), order.values
        invoice = {
            COMPANY: values[COMPANY],
            "InvoiceNumber": number,
            "InvoiceDate": at.strftime("%Y-%m-%dT12:00:00Z"),
            "LedgerVoucher": f"V-{number}",
            "SalesOrderNumber": values["SalesOrderNumber"],
            "TotalInvoiceAmount": amount,
        }
        self.created(self.entity(INVOICE), invoice, values[COMPANY], self.person)
        self.updated(order, {"SalesOrderProcessingStatus": "Invoiced", "SalesOrderStatus": "Invoiced"}, self.person)
        payload = {
            "InvoiceAccount": values["InvoiceCustomerAccountNumber"],
            "InvoiceAmountInAccountingCurrency": amount,
            "InvoiceDate": date(at),
            "InvoiceId": number,
            "SalesOrderId": values["SalesOrderNumber"],
        }
        self.raise_event(INVOICE_POSTED, payload, values[COMPANY])

    # -- events

    def activate(self, event: str, url: str) -> None:
        """Send a business event, or a data event named `<entity>/<create|update|delete>`, to an HTTPS endpoint."""
        endpoints = self._subscribers.setdefault(event, [])
        if len(endpoints) >= ENDPOINTS_AN_EVENT:
            raise ValueError(f"{event} has {ENDPOINTS_AN_EVENT} endpoints already")
        endpoints.append(Endpoint(url))

    def activate_data_events(self, object: str, url: str) -> None:
        """All three data events of an entity."""
        for message in ("create", "update", "delete"):
            self.activate(f"{object}/{message}", url)

    def add_endpoint(self, name: str, url: str) -> None:
        """A person makes an endpoint; its address is a secret in a key vault, which no row shows."""
        self.create(ENDPOINTS, {"Name": name})
        self._addresses[name] = Endpoint(url)

    def add_role(self, name: str) -> None:
        """A person makes a security role."""
        self.create(ROLES, {"SecurityRoleIdentifier": name.upper(), "SecurityRoleName": name})

    def raise_event(self, name: str, payload: Mapping[str, Any], company: str) -> None:
        """A business event happens."""
        self._control += self._ids.randrange(1, 4)
        body = business_event(
            name,
            payload,
            company=company,
            control=self._control,
            event_id=self.new_id().upper(),
            user=self.person,
            at=self.now(),
        )
        self._send(name, body)
        self.outbox.extend(Posting(endpoint, name, body) for endpoint in self._configured(name, company))
        self._wake()

    def resend(self) -> None:
        """A person sends again what nobody took."""
        again, self.errors = self.errors, []
        self.outbox.extend(again)
        self._wake()

    @property
    def settled(self) -> bool:
        """No delivery is outstanding."""
        return not self.outbox and self._in_flight == 0

    async def until_settled(self) -> None:
        """Wait until `settled`; while nobody serves the environment nothing is delivered, so this waits on."""
        while not self.settled:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

    # -- for the edges of this package

    @contextlib.contextmanager
    def all_or_none(self) -> Iterator[None]:
        """What is written inside is undone, its events too, where an exception leaves it; numbers stay used."""
        events = len(self.outbox)
        try:
            with self.store.all_or_none():
                yield
        except BaseException:
            while len(self.outbox) > events:
                self.outbox.pop()
            raise

    def entity(self, object: str) -> Entity:
        """A data entity by its own name; Fault 404 where there is none."""
        if object not in self.store.entities:
            raise faults.no_resource(object)
        return self.store.entities[object]

    def found(self, object: str, record_id: str) -> Row:
        """The row; Fault 404 where there is none."""
        row = self.store.find(self.entity(object).name, record_id)
        if row is None:
            raise faults.no_row(self.entity(object).collection)
        return row

    def created(self, entity: Entity, fields: Mapping[str, Any], company: str, user: str) -> Row:
        """A new row, and its data event."""
        row = self.store.create(entity, fields, company)
        self._tell("create", row, None, user)
        return row

    def updated(self, row: Row, fields: Mapping[str, Any], user: str) -> None:
        """A changed row, and its data event."""
        self._tell("update", self.store.update(row, fields), row.values, user)

    def deleted(self, row: Row, user: str) -> None:
        """A row that is gone, and its data event."""
        self.store.remove(row)
        self._tell("delete", row, row.values, user)

    def moved(self, change: int) -> None:
        """The courier took (+) or finished (-) deliveries."""
        self._in_flight += change
        if self.settled:
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiting.clear()

    def new_id(self) -> str:
        """A GUID."""
        return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))

    # -- inside

    def _tell(self, message: str, row: Row, before: Mapping[str, Any] | None, user: str) -> None:
        name = f"{row.entity.name}/{message}"
        if name in self._subscribers:
            self._send(name, data_event(message, row, before, user, self.new_id(), self.now()))

    def _send(self, name: str, body: bytes) -> None:
        self.outbox.extend(Posting(endpoint, name, body) for endpoint in self._subscribers.get(name, ()))
        self._wake()

    def _configured(self, event: str, company: str) -> list[Endpoint]:
        sent = [row.values for row in self.store.all(SENT) if row.values["Disabled"] == "No"]
        wanted = (event.casefold(), company.casefold())
        rows = [row for row in sent if (row["BusinessEventsTable"].casefold(), row["LegalEntity"].casefold()) == wanted]
        return [self._addresses[row["BusinessEventsEndpoint_Name"]] for row in rows]

    def _wake(self) -> None:
        if self.courier is not None and self.outbox:
            self.courier.wake()


def _seen(row: Row) -> dict[str, Any]:
    return {name: None if value in ("", NO_DATE, NO_MOMENT) else value for name, value in row.values.items()}
