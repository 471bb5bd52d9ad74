"""Reading and writing rows over the Web API: collections, single rows, conditional writes and upserts, bulk actions.

Promises: the table of dynamics.md §3.2, row by row; a failed bulk action changes nothing (§3.6). Handlers change rows
through one `Work`, which the caller commits.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence, Set
from typing import Any
from urllib.parse import quote

from isthmus.simulators.dynamics import faults
from isthmus.simulators.dynamics.calls import Call, Reply
from isthmus.simulators.dynamics.filters import order_key, parse_filter, parse_order
from isthmus.simulators.dynamics.payloads import (
    Key,
    find,
    found,
    read_body,
    read_key,
    resolve,
    same_key,
    show,
    value_of,
)
from isthmus.simulators.dynamics.schema import Table
from isthmus.simulators.dynamics.store import Row, Store
from isthmus.simulators.dynamics.values import GUID
from isthmus.simulators.dynamics.work import Work

PAGE = 5000
MERGED = ("account", "contact")
REPRESENTATION = "return=representation"
UNKNOWN_OPTIONS = ("$expand", "$apply", "$skip", "$search", "fetchXml", "sql", "savedQuery", "userQuery")


def read_one(store: Store, table: Table, key: str, call: Call, hidden: Set[str] = frozenset()) -> Reply:
    """GET of one row; 304 where If-None-Match has its version, 403 where the user may not see it."""
    _refuse_unknown(call)
    row = found(store, table, read_key(table, key))
    if row.id in hidden:
        raise faults.Fault(403, "0x80040220")
    if call.condition("if-none-match") == row.etag:
        return Reply(304, {"ETag": row.etag})
    context = f"{call.base}/$metadata#{_projection(table, call)}/$entity"
    return Reply(200, {"ETag": row.etag}, {"@odata.context": context, **show(row, call, call.query.get("$select"))})


def read_many(store: Store, table: Table, call: Call, hidden: Set[str] = frozenset()) -> Reply:
    """GET of a collection: $select, $filter, $orderby, $top, $count, pages by `odata.maxpagesize`."""
    _refuse_unknown(call)
    rows = [row for row in _matching(store, table, call) if row.id not in hidden]
    top, size = _number(call, "$top"), int(call.preference("odata.maxpagesize") or PAGE)
    start = _start(call, rows)
    limited = rows if top is None else rows[:top]
    page = limited[start : start + size]
    body: dict[str, Any] = {"@odata.context": f"{call.base}/$metadata#{_projection(table, call)}"}
    if call.query.get("$count") == "true":
        body["@odata.count"] = min(len(rows), PAGE)
    body["value"] = [show(row, call, call.query.get("$select")) for row in page]
    if start + size < len(limited):
        body["@odata.nextLink"] = _next_link(table, call, start + size, page[-1])
    applied = call.preference("odata.maxpagesize")
    return Reply(200, {"Preference-Applied": f"odata.maxpagesize={applied}"} if applied else {}, body)


def create(work: Work, table: Table, call: Call) -> Reply:
    """POST to a collection: 204, or 201 with the row."""
    body = call.json()
    given = body.get(table.primary_id)
    row = work.create(table, read_body(work.store, table, body), _guid(table, given))
    return _written(row, call, f"{call.base}/{table.collection}({row.id})", 201)


def upsert(work: Work, table: Table, key: str, call: Call) -> Reply:
    """PATCH of one row: updates it or, unless If-Match forbids, creates it."""
    wanted = read_key(table, key)
    row = find(work.store, table, wanted)
    values = read_body(work.store, table, call.json())
    url = f"{call.base}/{table.collection}({key})"
    if row is not None:
        if call.condition("if-none-match") == "*":
            raise faults.Fault(412, "0x80040237")
        _check_version(row, call)
        return _written(work.update(row, values), call, url, 200)
    if call.condition("if-match") is not None:
        found(work.store, table, wanted)
    return _written(_create_at(work, table, wanted, values), call, url, 201)


def delete(work: Work, table: Table, key: str, call: Call) -> Reply:
    """DELETE of one row, under If-Match where given."""
    row = found(work.store, table, read_key(table, key))
    _check_version(row, call)
    work.delete(row)
    return Reply(204)


def bulk(work: Work, table: Table, action: str, call: Call) -> Reply:
    """CreateMultiple, UpdateMultiple or UpsertMultiple."""
    targets = call.json().get("Targets")
    if not isinstance(targets, list) or not targets or not all(isinstance(one, dict) for one in targets):
        raise faults.invalid("The parameter 'Targets' is missing or empty.")
    if action == "CreateMultiple":
        ids = [
            work.create(table, read_body(work.store, table, one), _guid(table, one.get(table.primary_id))).id
            for one in targets
        ]
        context = f"{call.base}/$metadata#Microsoft.Dynamics.CRM.CreateMultipleResponse"
        return Reply(200, {}, {"@odata.context": context, "Ids": ids})
    for one in targets:
        _upsert_target(work, table, one, create=action == "UpsertMultiple")
    return Reply(204)


def merge(work: Work, call: Call) -> Reply:
    """The Merge action."""
    body = call.json()
    winner, loser = (_merged(work, body.get(name), name) for name in ("Target", "Subordinate"))
    if winner.table is not loser.table or winner.id == loser.id:
        raise faults.invalid("Target and Subordinate must be two rows of one table.")
    if loser.values.get("merged"):
        raise faults.invalid("The subordinate was merged already.")
    content = {n: v for n, v in (body.get("UpdateContent") or {}).items() if n != "@odata.type"}
    work.merge(winner, loser, read_body(work.store, winner.table, content))
    return Reply(204)


def _merged(work: Work, named: Any, parameter: str) -> Row:
    kind = str((named or {}).get("@odata.type", "")).removeprefix("#").removeprefix("Microsoft.Dynamics.CRM.")
    if kind not in MERGED:
        raise faults.invalid(f"{parameter}: the Merge message does not support entities of type '{kind}'.")
    table = work.store.tables[kind]
    return found(work.store, table, str(named.get(table.primary_id)).lower())


def bulk_delete(work: Work, queries: Sequence[Mapping[str, Any]], job_id: str) -> Reply:
    """BulkDelete by `id In (…)`, done at once; answers the job's id."""
    for query in queries:
        table = work.store.tables.get(str(query.get("EntityName")))
        conditions = query.get("Criteria", {}).get("Conditions", [])
        if table is None or len(conditions) != 1 or conditions[0].get("AttributeName") != table.primary_id:
            raise faults.invalid("Only a BulkDelete by ids is understood here.")
        for value in conditions[0]["Values"]:
            row = work.store.get(table.name, str(value["Value"]))
            if row is not None:
                work.delete(row)
    return Reply(200, {}, {"JobId": job_id})


def _upsert_target(work: Work, table: Table, target: Mapping[str, Any], *, create: bool) -> None:
    key: Key | None = _guid(table, target.get(table.primary_id))
    if "@odata.id" in target:
        _, key = resolve(work.store, str(target["@odata.id"]))
    if key is None:
        raise faults.invalid("A target has neither a primary key nor an alternate key.")
    row, values = find(work.store, table, key), read_body(work.store, table, target)
    if row is not None:
        work.update(row, values)
    elif not create:
        found(work.store, table, key)
    elif isinstance(key, dict) and set(key) & set(values):
        # The real one fails here too, and on the create path only (PowerPlatform-DataverseClient-Python#127).
        raise faults.Fault(400, "0x80040216", "An item with the same key has already been added.")
    else:
        _create_at(work, table, key, values)


def _create_at(work: Work, table: Table, key: Key, values: Mapping[str, Any]) -> Row:
    if isinstance(key, str):
        return work.create(table, values, key)
    if not same_key(table, key, values):
        raise faults.invalid("The key in the request URI and in the body differ.")
    return work.create(table, {**values, **key})


def _written(row: Row, call: Call, url: str, status: int) -> Reply:
    headers = {"OData-EntityId": url}
    if call.method == "POST":
        headers["Location"] = url
    if not call.prefers(REPRESENTATION):
        return Reply(204, headers)
    context = f"{call.base}/$metadata#{_projection(row.table, call)}/$entity"
    body = {"@odata.context": context, **show(row, call, call.query.get("$select"))}
    return Reply(status, {**headers, "ETag": row.etag, "Preference-Applied": REPRESENTATION}, body)


def _check_version(row: Row, call: Call) -> None:
    wanted = call.condition("if-match")
    if wanted not in (None, "*", row.etag):
        raise faults.Fault(412, "0x80060882")


def _guid(table: Table, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not GUID.fullmatch(value):
        raise faults.payload(table.collection, f"Cannot convert the literal '{value}' to the expected type 'Edm.Guid'.")
    return value.lower()


def _matching(store: Store, table: Table, call: Call) -> list[Row]:
    if expression := call.query.get("$filter"):
        wanted = parse_filter(expression)
        rows = store.within(table, wanted.bound)
        rows = [row for row in rows if wanted.test(lambda name, row=row: value_of(row, name))]  # type: ignore[misc]
    else:
        rows = store.all(table.name)
    for name, descends in reversed(parse_order(call.query.get("$orderby", ""))):
        rows = sorted(rows, key=lambda row: order_key(value_of(row, name)), reverse=descends)
    return rows


def _projection(table: Table, call: Call) -> str:
    select = call.query.get("$select")
    return f"{table.collection}({select})" if select else table.collection


def _number(call: Call, option: str) -> int | None:
    value = call.query.get(option)
    if value is not None and not value.isdecimal():
        raise faults.invalid(f"Invalid value '{value}' for {option}.")
    return None if value is None else int(value)


def _start(call: Call, rows: Sequence[Row]) -> int:
    """Where a page begins: after the last row of the one before, wherever that is now; a cookie, not an offset."""
    token = call.query.get("$skiptoken")
    if not token:
        return 0
    try:
        number, last = base64.urlsafe_b64decode(token).decode().split(":")
        start = int(number)
    except ValueError:
        raise faults.invalid("The $skiptoken is not valid.") from None
    return next((index + 1 for index, row in enumerate(rows) if row.id == last), start)


def _next_link(table: Table, call: Call, start: int, last: Row) -> str:
    kept = "&".join(f"{name}={quote(value)}" for name, value in call.query.items() if name != "$skiptoken")
    token = base64.urlsafe_b64encode(f"{start}:{last.id}".encode()).decode()
    return f"{call.base}/{table.collection}?{kept}{'&' if kept else ''}$skiptoken={quote(token)}"


def _refuse_unknown(call: Call) -> None:
    for option in UNKNOWN_OPTIONS:
        if option in call.query:
            raise faults.invalid(f"The query option {option} is not understood by this environment.")
