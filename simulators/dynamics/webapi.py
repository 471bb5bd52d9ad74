"""The Web API: which request is which handler's, who may, what fails on order, and when webhooks go out.

Promises: `answer` always answers; a write is committed or undone as a whole, together with its synchronous webhooks;
asynchronous ones leave only after the commit (dynamics.md §1.3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from isthmus.simulators.dynamics import columns, customizing, faults, metadata, records, tracking
from isthmus.simulators.dynamics.calls import Call, Reply, Segment, fault_reply, segments
from isthmus.simulators.dynamics.environment import DynamicsEnvironment, Outgoing
from isthmus.simulators.dynamics.payloads import table_of_collection
from isthmus.simulators.dynamics.schema import Table
from isthmus.simulators.dynamics.work import Work

ACTIONS = "Microsoft.Dynamics.CRM."
BULK = ("CreateMultiple", "UpdateMultiple", "UpsertMultiple")
Handler = Callable[[Work], Reply]


class WebApi:
    """The Web API of one environment; `$batch` is batch.py's, on top of `answer` and `together`."""

    def __init__(self, environment: DynamicsEnvironment) -> None:
        self._environment = environment
        self._one_writer = asyncio.Lock()

    async def answer(self, call: Call) -> Reply:
        """Carry out one request."""
        try:
            if call.method == "GET":
                self._fail_on_order(write=False)
                return self._read(call)
            return (await self.together([call], lambda one, _: one))[0]
        except faults.Fault as fault:
            return fault_reply(fault)

    def _read(self, call: Call) -> Reply:
        path, store = segments(call.path), self._environment.store
        if not path:
            values = [
                {"name": table.collection, "kind": "EntitySet", "url": table.collection}
                for table in store.tables.values()
            ]
            return Reply(200, {}, {"@odata.context": f"{call.base}/$metadata", "value": values})
        if path[0].name == "EntityDefinitions":
            return metadata.answer(self._environment, path, call)
        if path[0].name in ("WhoAmI", "RetrieveVersion"):
            return self._who_am_i(call) if path[0].name == "WhoAmI" else _version(call, self._environment.version)
        if (told := customizing.read(self._environment, path, call)) is not None:
            return told
        table = self._readable(path[0].name)
        if len(path) == 2 and path[1].name == "$count" and "$deltatoken" in call.query:
            return tracking.count(self._environment, table, call)
        if len(path) == 2 and path[0].key is not None:
            return columns.read_below(store, table, path[0].key, path[1].name, call)
        if len(path) > 1:
            raise faults.no_resource(path[1].name)
        if path[0].key is None:
            if tracking.wanted(call):
                return tracking.answer(self._environment, table, call)
            return records.read_many(store, table, call, self._environment.hidden)
        return records.read_one(store, table, path[0].key, call, self._environment.hidden)

    def _readable(self, collection: str) -> Table:
        table = table_of_collection(self._environment.store, collection)
        if table.name in self._environment.forbidden:
            raise faults.Fault(403, "0x80040220")
        return table

    async def together(self, calls: list[Call], build: Callable[[Call, list[Reply]], Call]) -> list[Reply]:
        """Carry out writes: all of them, or none and Fault. `build` completes a call from the earlier replies."""
        self._fail_on_order(write=True)
        first = calls[0]
        actor = self._environment.actor(first.application.user_id, first.query.get("tag"), first.correlation)
        work = self._environment.begin(actor, self._environment.locked)

        def act() -> list[Reply]:
            replies: list[Reply] = []
            for call in calls:
                replies.append(self._handler(build(call, replies))(work))
            return replies

        async with self._one_writer:
            return await self._committed(work, act)

    def _fail_on_order(self, *, write: bool) -> None:
        failure = self._environment.failure_for(write=write)
        if failure is not None:
            raise failure

    async def _committed(self, work: Work, act: Callable[[], list[Reply]]) -> list[Reply]:
        environment = self._environment
        kept = not environment.is_rolled_back()
        replies, outgoing = environment.attempt(work, act, kept=kept)
        if outgoing.synchronous:
            if environment.courier is None:
                raise faults.Fault(500, "0x80040216")
            await environment.courier.post_now(outgoing.synchronous)
        if not kept:
            raise faults.rolled_back()
        if outgoing.synchronous:
            replies = environment.again(work, act)
        environment.send(Outgoing((), outgoing.asynchronous))
        return replies

    def _handler(self, call: Call) -> Handler:
        path = segments(call.path)
        if not path:
            raise faults.Fault(405, "0x80040227", "The method is not allowed here.")
        if (call.method, path[0].name) == ("POST", "BulkDelete"):
            queries, job = call.json().get("QuerySet", []), self._environment.operation_id()
            return lambda work: records.bulk_delete(work, queries, job)
        if (custom := customizing.write(self._environment, path, call)) is not None:
            return custom
        if (call.method, path[0].name) == ("POST", "Merge"):
            return lambda work: records.merge(work, call)
        table = table_of_collection(self._environment.store, path[0].name)
        key, action = path[0].key, _action(path)
        if call.method == "POST" and key is None and action in BULK:
            return lambda work: records.bulk(work, table, action, call)
        if call.method == "POST" and key is None and not path[1:]:
            return lambda work: records.create(work, table, call)
        if call.method == "PATCH" and key is not None and not path[1:]:
            return lambda work: records.upsert(work, table, key, call)
        if call.method == "DELETE" and key is not None and not path[1:]:
            return lambda work: records.delete(work, table, key, call)
        if call.method in ("PUT", "DELETE") and key is not None and path[1:]:
            return self._column_handler(call, table, key, path[1].name)
        raise faults.Fault(405, "0x80040227", f"{call.method} is not allowed on {call.path}.")

    def _column_handler(self, call: Call, table: Table, key: str, column: str) -> Handler:
        if call.method == "PUT":
            return lambda work: columns.put_column(work, table, key, column, call)
        return lambda work: columns.clear_column(work, table, key, column)

    def _who_am_i(self, call: Call) -> Reply:
        actor = self._environment.actor(call.application.user_id)
        return Reply(
            200,
            {},
            {
                "@odata.context": f"{call.base}/$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse",
                "BusinessUnitId": actor.business_unit,
                "UserId": actor.user_id,
                "OrganizationId": self._environment.organization_id,
            },
        )


def _action(path: list[Segment]) -> str:
    return path[1].name.removeprefix(ACTIONS) if len(path) == 2 else ""


def _version(call: Call, version: str) -> Reply:
    context = f"{call.base}/$metadata#Microsoft.Dynamics.CRM.RetrieveVersionResponse"
    return Reply(200, {}, {"@odata.context": context, "Version": version})
