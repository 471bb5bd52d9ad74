"""The environment: what people do in it, the webhooks that this raises, and what is still to be delivered. No I/O.

Promises: a seed and the same wishes give the same ids, versions and postings; used from the thread of one event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, TypeVar

from isthmus.simulators.dynamics import context, webhooks
from isthmus.simulators.dynamics.organization import Organization
from isthmus.simulators.dynamics.schema import STANDARD_TABLES, Table
from isthmus.simulators.dynamics.values import Reference, Value
from isthmus.simulators.dynamics.webhooks import Posting
from isthmus.simulators.dynamics.work import Event, Work

T = TypeVar("T")
SINGLE_MESSAGES = ("Create", "Update", "Delete")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Postings of one unit of work. Synchronous ones go first; `commit` follows unless one fails."""

    synchronous: tuple[Posting, ...]
    asynchronous: tuple[Posting, ...]
    commit: Callable[[], object] = lambda: None


class Courier(Protocol):
    """Who delivers postings while the environment is served."""

    def wake(self) -> None:
        """There is something in the outbox."""

    def post_now(self, postings: Sequence[Posting]) -> Awaitable[None]:
        """Deliver in order; Fault at the first failure."""
        ...


class DynamicsEnvironment(Organization):
    """One Dataverse environment.

    What people do is done by `person` unless `user` says otherwise; `tag` is the request's `?tag=`. The knobs of
    trouble.py may be turned at any time. `webhook_timeout` is in seconds, `utc_offset` in minutes (context.py). With
    `tag_in_parent` the tag is in the ParentContext only (dynamics.md §3.7). `version` is what it calls itself. `refused`
    lists the synchronous webhooks that took back what a person wrote.
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
        tag_in_parent: bool = False,
    ) -> None:
        super().__init__(seed=seed, tables=tables, clock=clock, token_lifetime=token_lifetime)
        self.webhook_timeout = webhook_timeout
        self.utc_offset = utc_offset
        self.tag_in_parent = tag_in_parent
        self.version = "9.2.25104.196"
        self.refused: list[tuple[Posting, str]] = []
        self.outbox: deque[Outgoing] = deque()
        self.courier: Courier | None = None
        self._known_steps: tuple[object, list[webhooks.Step]] = (None, [])
        self._in_flight = 0
        self._failed: dict[str, Posting] = {}
        self._waiting: list[asyncio.Future[None]] = []

    # -- what people do

    def create(self, object: str, fields: Mapping[str, Any], *, user: str | None = None, tag: str | None = None) -> str:
        """A person's new row; its id. A lookup is given by id, or by (table, id). Faults as in the Web API."""
        work = self.begin(self.actor(user, tag))
        values = self._typed_by_people(object, fields)
        return self._do(work, lambda: work.create(self.table(object), values)).id

    def update(
        self, object: str, record_id: str, fields: Mapping[str, Any], *, user: str | None = None, tag: str | None = None
    ) -> None:
        """A person changes these columns; None clears."""
        work = self.begin(self.actor(user, tag))
        values = self._typed_by_people(object, fields)
        self._do(work, lambda: work.update(self.found(object, record_id), values))

    def delete(self, object: str, record_id: str, *, user: str | None = None, tag: str | None = None) -> None:
        """A person deletes the row."""
        work = self.begin(self.actor(user, tag))
        self._do(work, lambda: work.delete(self.found(object, record_id)))

    def merge(
        self, object: str, winner: str, loser: str, fields: Mapping[str, Any], *, user: str | None = None
    ) -> None:
        """A person makes one row of two."""
        work = self.begin(self.actor(user))
        content = self._typed_by_people(object, fields)
        self._do(work, lambda: work.merge(self.found(object, winner), self.found(object, loser), content))

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
        endpoint = self._register_endpoint(url, kind, secret)
        tables = entities if entities is not None else [one.name for one in self.tables()]
        return [
            self._register_step(endpoint, table, message, mode, filtering) for table in tables for message in messages
        ]

    def failed(self) -> list[str]:
        """The asyncoperations of webhooks that failed, oldest first (dynamics.md §1.3)."""
        return list(self._failed)

    def resume(self, operation_id: str) -> None:
        """A person resumes a failed system job: its webhook is sent again, late, with the same OperationId."""
        posting = self._failed.pop(operation_id)
        self.store.remove(self.found("asyncoperation", operation_id))
        self.send(Outgoing((), (posting,)))

    @property
    def settled(self) -> bool:
        """No webhook delivery is outstanding."""
        return not self.outbox and self._in_flight == 0

    async def until_settled(self) -> None:
        """Wait until `settled`. While nobody serves the environment nothing is delivered, so this waits on."""
        while not self.settled:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

    # -- for the edges of this package

    def attempt(self, work: Work, act: Callable[[], T], *, kept: bool = True) -> tuple[T, Outgoing]:
        """Do it, or nothing of it, and plan its postings. What waits for synchronous ones is rolled back until all of them
        are taken, so nobody sees any of it meanwhile; then it is done `again`, to the rows as they are by then. What is
        not to be `kept` is rolled back anyway."""
        with self.store.all_or_none() as step:
            result = act()
            synchronous, asynchronous = self._plan(work)
            if synchronous or not kept:
                step.undo()
        return result, Outgoing(synchronous, asynchronous, lambda: self.again(work, act))

    def again(self, work: Work, act: Callable[[], T]) -> T:
        """Do once more what was rolled back, with the same ids."""
        work.again()
        with self.store.all_or_none():
            return act()

    def send(self, outgoing: Outgoing) -> None:
        """Hand postings to the courier, or keep them until there is one."""
        if outgoing.synchronous or outgoing.asynchronous:
            self.outbox.append(outgoing)
            if self.courier is not None:
                self.courier.wake()

    def moved(self, change: int) -> None:
        """The courier took (+) or finished (-) deliveries."""
        self._in_flight += change
        if self.settled:
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiting.clear()

    def record_failure(self, posting: Posting, message: str) -> None:
        """An asynchronous webhook failed for good: a system job with statuscode 31 that can be resumed."""
        work = self.begin(self.actor())
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

    # -- inside

    def _plan(self, work: Work) -> tuple[tuple[Posting, ...], tuple[Posting, ...]]:
        every, own, request = self._steps(), self.operation_id(), self.operation_id()
        correlation = work.actor.correlation or own
        fired = [
            (step, self._posting(step, event, work, correlation, request))
            for event in work.events
            for step in every
            if step.fires(event)
        ]
        synchronous = tuple(posting for step, posting in fired if not step.asynchronous)
        return synchronous, tuple(posting for step, posting in fired if step.asynchronous)

    def _steps(self) -> list[webhooks.Step]:
        changes = self.store.changes(*webhooks.TABLES)
        if self._known_steps[0] != changes:
            self._known_steps = (changes, webhooks.steps(self.store))
        return self._known_steps[1]

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

    def _do(self, work: Work, act: Callable[[], T]) -> T:
        result, outgoing = self.attempt(work, act)
        self.send(outgoing)
        return result

    def _typed_by_people(self, object: str, fields: Mapping[str, Any]) -> dict[str, Value]:
        columns = self.table(object).columns
        return {name: value for name, value in self.typed(object, fields).items() if columns[name].writable}
