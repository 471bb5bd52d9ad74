"""The environment's state and what people do in it, without any I/O: rows, users, webhook steps, postings to send.

Promises: a seed and the same wishes give the same ids, versions and postings; used from the thread of one event loop.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from isthmus.simulators.dynamics import context, faults, webhooks
from isthmus.simulators.dynamics.authority import Application, Authority
from isthmus.simulators.dynamics.schema import PLATFORM_TABLES, STANDARD_TABLES, Column, Table
from isthmus.simulators.dynamics.store import Row, Store
from isthmus.simulators.dynamics.trouble import Trouble
from isthmus.simulators.dynamics.values import Reference, Value, parse, to_json
from isthmus.simulators.dynamics.webhooks import Posting
from isthmus.simulators.dynamics.work import Actor, Event, Work

MESSAGES = ("Create", "Update", "Delete", "CreateMultiple", "UpdateMultiple", "UpsertMultiple")
SINGLE_MESSAGES = ("Create", "Update", "Delete")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Postings of one unit of work. Synchronous ones go first; when one fails the work is undone."""

    work: Work
    synchronous: tuple[Posting, ...]
    asynchronous: tuple[Posting, ...]


class Courier(Protocol):
    """Who delivers postings while the environment is served."""

    def wake(self) -> None:
        """There is something in the outbox."""

    def post_now(self, postings: Sequence[Posting]) -> Awaitable[None]:
        """Deliver in order; Fault at the first failure."""
        ...


class DynamicsEnvironment(Trouble):
    """One Dataverse environment with its Entra tenant.

    `tenant`, `client_id` and `client_secret` are the credentials of the application user `application_user`; what
    people do is done by `person` unless `user` says otherwise. `tables` are declared as data (schema.py). The knobs of
    trouble.py may be turned at any time. `webhook_timeout` is in seconds, `utc_offset` in minutes (context.py).
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        tables: Iterable[Table] = STANDARD_TABLES,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        token_lifetime: int = 3599,
        webhook_timeout: float = 60.0,
        utc_offset: int = 0,
    ) -> None:
        super().__init__(seed)
        every = {one.name: one for one in (*PLATFORM_TABLES, *tables)}
        self.now = clock
        self._ids, self._operation_ids = (random.Random(f"{stream}/{seed}") for stream in ("rows", "operations"))
        self.store = Store(every, lambda: _guid(self._ids))
        self.tenant, self.client_id, self.organization_id = (_guid(self._ids) for _ in range(3))
        self.client_secret = f"sim-secret-{self._ids.getrandbits(64):016x}"
        self.organization_name = f"unq{self.organization_id.replace('-', '')[:29]}"
        self.domain = f"org{self.organization_id[:8]}.crm.dynamics.com"
        self.authority = Authority(self.tenant, clock, lifetime=token_lifetime, seed=seed)
        self.webhook_timeout = webhook_timeout
        self.utc_offset = utc_offset
        self.tag_in_parent = False
        self.outbox: deque[Outgoing] = deque()
        self.in_flight = 0
        self.refused: list[tuple[Posting, str]] = []
        self._failed: dict[str, Posting] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self.courier: Courier | None = None
        self._furnish()

    # -- what people do

    def create(self, object: str, fields: Mapping[str, Any], *, user: str | None = None, tag: str | None = None) -> str:
        """A person's new row; its id. A lookup is given by id, or by (table, id). Faults as in the Web API."""
        work = self.begin(self._actor(user, tag))
        row = work.create(self.table(object), self._typed(object, fields))
        self.commit(work)
        return row.id

    def update(
        self, object: str, record_id: str, fields: Mapping[str, Any], *, user: str | None = None, tag: str | None = None
    ) -> None:
        """A person changes these columns; None clears."""
        work = self.begin(self._actor(user, tag))
        work.update(self._row(object, record_id), self._typed(object, fields))
        self.commit(work)

    def delete(self, object: str, record_id: str, *, user: str | None = None, tag: str | None = None) -> None:
        """A person deletes the row."""
        work = self.begin(self._actor(user, tag))
        work.delete(self._row(object, record_id))
        self.commit(work)

    def rows(self, object: str) -> dict[str, dict[str, Any]]:
        """Every row by id: all columns by logical name, as plain JSON values, null where empty."""
        return {row.id: {name: to_json(row.get(name)) for name in row.table.columns} for row in self.store.all(object)}

    def row(self, object: str, record_id: str) -> dict[str, Any]:
        """One row, as in `rows`."""
        row = self._row(object, record_id)
        return {name: to_json(row.get(name)) for name in row.table.columns}

    # -- users and tokens

    def register_application(self, client_id: str, client_secret: str, name: str = "# Integration") -> str:
        """A further app registration with an application user of its own; the user's id."""
        user = self._insert("systemuser", fullname=name, applicationid=client_id)
        self.authority.register(Application(client_id, client_secret, user))
        return user

    def expire_tokens(self) -> None:
        """Every token issued so far is answered with 401 from now on."""
        self.authority.expire_tokens()

    # -- webhooks

    def register_webhook(
        self,
        url: str,
        auth: tuple[str, str | Mapping[str, str]] = ("WebhookKey", ""),
        entities: Sequence[str] | None = None,
        messages: Sequence[str] = SINGLE_MESSAGES,
        mode: Literal["async", "sync"] = "async",
        filtering: Sequence[str] = (),
    ) -> list[str]:
        """Steps for these tables (all that people have, by default) and messages; their ids.

        `auth`: the kind of dynamics.md §1.2, and the key or the pairs of names and values.
        """
        kind, value = auth
        secret = value if isinstance(value, str) else webhooks.settings_text(value.items())
        endpoint = {"name": url, "contract": 8, "authtype": webhooks.AUTH_TYPES[kind], "authvalue": secret, "url": url}
        endpoint_id = self._insert("serviceendpoint", **endpoint)
        tables = entities if entities is not None else [one.name for one in self.tables()]
        return [
            self._register_step(endpoint_id, table, message, mode, filtering) for table in tables for message in messages
        ]

    def failed(self) -> list[str]:
        """The asyncoperations of webhooks that failed, oldest first (dynamics.md §1.3)."""
        return list(self._failed)

    def resume(self, operation_id: str) -> None:
        """A person resumes a failed system job: its webhook is sent again, late, with the same OperationId."""
        posting = self._failed.pop(operation_id)
        self.store.remove(self._row("asyncoperation", operation_id))
        self.send(Outgoing(self.begin(self._actor()), (), (posting,)))

    @property
    def settled(self) -> bool:
        """No webhook delivery is outstanding."""
        return not self.outbox and self.in_flight == 0

    async def until_settled(self) -> None:
        """Wait until `settled`. While nobody serves the environment nothing is delivered, so this waits on."""
        while not self.settled:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

    # -- for the edges of this package

    def table(self, name: str) -> Table:
        """The table's declaration; Fault 404 where there is none."""
        if name not in self.store.tables:
            raise faults.no_resource(name)
        return self.store.tables[name]

    def tables(self) -> list[Table]:
        """The tables that people work with."""
        return [one for one in self.store.tables.values() if not one.internal]

    def actor_of(self, application: Application, tag: str | None) -> Actor:
        """Who a request acts as."""
        return self._actor(application.user_id, tag)

    def begin(self, actor: Actor) -> Work:
        """A new unit of work."""
        return Work(self.store, actor, self.now().replace(microsecond=0))

    def plan(self, work: Work) -> Outgoing:
        """The postings that a unit of work raises."""
        every, correlation, request = webhooks.steps(self.store), self.operation_id(), self.operation_id()
        fired = [
            (step, self._posting(step, event, work, correlation, request))
            for event in work.events
            for step in every
            if step.fires(event)
        ]
        synchronous = tuple(posting for step, posting in fired if not step.asynchronous)
        return Outgoing(work, synchronous, tuple(posting for step, posting in fired if step.asynchronous))

    def commit(self, work: Work) -> None:
        """Send what the work raised, in the background. A failed synchronous webhook undoes it later."""
        self.send(self.plan(work))

    def send(self, outgoing: Outgoing) -> None:
        """Hand postings to the courier, or keep them until there is one."""
        if outgoing.synchronous or outgoing.asynchronous:
            self.outbox.append(outgoing)
            if self.courier is not None:
                self.courier.wake()

    def moved(self, change: int) -> None:
        """The courier took (+) or finished (-) deliveries."""
        self.in_flight += change
        if self.settled:
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiting.clear()

    def record_failure(self, posting: Posting, message: str) -> None:
        """An asynchronous webhook failed for good: a system job with statuscode 31 that can be resumed."""
        work = self.begin(self._actor())
        values: dict[str, Value] = {
            "name": posting.step.name,
            "messagename": posting.message,
            "primaryentitytype": posting.entity,
            "regardingobjectid": posting.record_id,
            "message": message,
            "statecode": 3,
            "statuscode": 31,
            "owningextensionid": Reference("sdkmessageprocessingstep", posting.step.id),
        }
        if posting.operation_id not in self._failed:
            work.create(self.table("asyncoperation"), values, posting.operation_id)
        self._failed[posting.operation_id] = posting

    def operation_id(self) -> str:
        """A GUID for anything that is no row."""
        return _guid(self._operation_ids)

    # -- inside

    def _posting(self, step: webhooks.Step, event: Event, work: Work, correlation: str, request: str) -> Posting:
        operation = self.operation_id() if step.asynchronous else request
        envelope = context.Envelope(
            organization_id=self.organization_id,
            organization_name=self.organization_name,
            business_unit=work.actor.business_unit,
            user_id=work.actor.user_id,
            correlation_id=correlation,
            request_id=request,
            operation_id=operation,
            step_id=step.id,
            step_name=step.name,
            asynchronous=step.asynchronous,
            created=self.now(),
            utc_offset=self.utc_offset,
            tag=work.actor.tag,
            tag_in_parent=self.tag_in_parent,
        )
        body, oversize = context.encode(context.execution_context(event, envelope))
        proof, query = step.credentials()
        headers = {**webhooks.request_headers(self.domain, event, correlation, oversize=oversize), **proof}
        return Posting(step, operation, event.message, event.row.table.name, event.row.id, headers, query, body)

    def _furnish(self) -> None:
        self.business_unit = self._insert("businessunit", name=self.organization_name)
        self.currency = self._insert("transactioncurrency", currencyname="US Dollar", isocurrencycode="USD")
        self._insert("organization", self.organization_id, name=self.organization_name)
        self.person = self._insert("systemuser", fullname="Ada Clerk", domainname=f"ada@{self.domain}")
        self.application_user = self.register_application(self.client_id, self.client_secret)
        for message in MESSAGES:
            own = self._insert("sdkmessage", name=message)
            for table in self.tables():
                self._insert("sdkmessagefilter", primaryobjecttypecode=table.name, sdkmessageid=own)

    def _register_step(self, endpoint: str, table: str, message: str, mode: str, filtering: Sequence[str]) -> str:
        message_row = next(row for row in self.store.all("sdkmessage") if row.get("name") == message)
        wanted = (Reference("sdkmessage", message_row.id), self.table(table).name)
        filters = self.store.all("sdkmessagefilter")
        chosen = next(row for row in filters if (row.get("sdkmessageid"), row.get("primaryobjecttypecode")) == wanted)
        return self._insert(
            "sdkmessageprocessingstep",
            name=f"Webhook: {message} of {table}",
            stage=40,
            mode=int(mode == "async"),
            asyncautodelete=mode == "async",
            filteringattributes=",".join(filtering),
            eventhandler=endpoint,
            sdkmessageid=message_row.id,
            sdkmessagefilterid=chosen.id,
        )

    def _insert(self, object: str, record_id: str | None = None, **fields: Any) -> str:
        nobody = Actor(context.NOBODY, context.NOBODY, context.NOBODY)
        return self.begin(nobody).create(self.table(object), self._typed(object, fields), record_id).id

    def _actor(self, user: str | None = None, tag: str | None = None) -> Actor:
        return Actor(user or self.person, self.business_unit, self.currency, tag)

    def _row(self, object: str, record_id: str) -> Row:
        row = self.store.get(self.table(object).name, record_id)
        if row is None:
            raise faults.missing_id(object, record_id)
        return row

    def _typed(self, object: str, fields: Mapping[str, Any]) -> dict[str, Value]:
        table = self.table(object)
        unknown = set(fields) - set(table.columns)
        if unknown:
            raise faults.payload(table.collection, f"An undeclared property '{min(unknown)}' was found.")
        return {name: self._stored(table, table.columns[name], value) for name, value in fields.items()}

    def _stored(self, table: Table, column: Column, value: Any) -> Value:
        if column.kind != "lookup" or value is None or isinstance(value, Reference):
            return value if isinstance(value, Reference) else parse(table, column, value)
        named, record_id = value if isinstance(value, tuple) else (None, str(value))
        for target in [named] if named else column.targets.values():
            if self.store.get(target, record_id) is not None:
                return Reference(target, record_id)
        raise faults.missing_id(named or table.name, record_id)


def _guid(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))
