"""Change tracking: a table's rows with a delta link, and what changed since one (dynamics.md §4).

Promises: a change committed after a link was given out is in what the link leads to, one under way is not; upserts come
by version, then deletes; a row made and deleted between two links comes as deleted only; an expired link is an error.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from isthmus.simulators.dynamics import faults
from isthmus.simulators.dynamics.calls import Call, Reply
from isthmus.simulators.dynamics.organization import Organization
from isthmus.simulators.dynamics.payloads import show
from isthmus.simulators.dynamics.schema import Table
from isthmus.simulators.dynamics.store import Row

PREFERENCE = "odata.track-changes"
REFUSED = ("$filter", "$orderby", "$expand", "$top")
PAGE = 5000
TIME = "%m/%d/%Y %H:%M:%S"


def wanted(call: Call) -> bool:
    """Does this request ask for changes?"""
    return call.prefers(PREFERENCE) or "$deltatoken" in call.query


def answer(organization: Organization, table: Table, call: Call) -> Reply:
    """One page: `@odata.nextLink`, or on the last one `@odata.deltaLink`."""
    _refuse(organization, table, call)
    since = _since(organization, call)
    upto, after = _cursor(call) or (organization.store.version, since or 0)
    rows = _changed(organization, table, after)
    size = int(call.preference("odata.maxpagesize") or PAGE)
    page, more = rows[:size], len(rows) > size
    body: dict[str, Any] = {"@odata.context": _context(table, call, delta=since is not None)}
    if more:
        body["@odata.nextLink"] = _link(table, call, "$skiptoken", _written(upto, page[-1].version))
    else:
        body["@odata.deltaLink"] = _link(table, call, "$deltatoken", f"{upto}!{organization.now().strftime(TIME)}")
    body["value"] = [show(row, call, call.query.get("$select")) for row in page]
    if since is not None and not more:
        body["value"] += _deleted(organization, table, call, since)
    return Reply(200, {"Preference-Applied": PREFERENCE}, body)


def count(organization: Organization, table: Table, call: Call) -> Reply:
    """`/$count?$deltatoken=`: how many entries the link leads to, as text."""
    since = _since(organization, call) or 0
    number = len(_changed(organization, table, since)) + len(_deleted(organization, table, call, since))
    return Reply(200, {"Content-Type": "text/plain"}, str(number).encode())


def _refuse(organization: Organization, table: Table, call: Call) -> None:
    if table.name not in organization.tracked:
        message = f"Change tracking is not enabled for the entity {table.name}."
        raise faults.Fault(400, "0x80044340", message)
    for option in REFUSED:
        if option in call.query:
            name = option.removeprefix("$")
            raise faults.invalid(f'The "${{{name}}}" query parameter isn\'t supported when Change Tracking is enabled.')


def _since(organization: Organization, call: Call) -> int | None:
    """The version of the request's delta link; Fault where it is expired or none."""
    token = call.query.get("$deltatoken")
    if token is None:
        return None
    version, _, told = token.partition("!")
    try:
        since, at = int(version), datetime.strptime(told, TIME).replace(tzinfo=UTC)
    except ValueError:
        raise faults.invalid("The $deltatoken is not valid.") from None
    row = organization.found("organization", organization.organization_id)
    days = int(str(row.get("expirechangetrackingindays")))
    if since < organization.links_valid_from or organization.now() - at > timedelta(days=days):
        raise faults.Fault(400, "0x80044352")
    return since


def _changed(organization: Organization, table: Table, after: int) -> list[Row]:
    return [row for row in organization.store.changed(table.name, after) if row.id not in organization.hidden]


def _deleted(organization: Organization, table: Table, call: Call, since: int) -> list[dict[str, Any]]:
    gone = organization.store.deleted(table.name, since)
    context = f"{call.base}/$metadata#{table.collection}/$deletedEntity"
    return [{"@odata.context": context, "id": one, "reason": "deleted"} for one, _ in gone]


def _context(table: Table, call: Call, *, delta: bool) -> str:
    select = call.query.get("$select")
    columns = f"({select})" if select else ""
    return f"{call.base}/$metadata#{table.collection}{columns}{'/$delta' if delta else ''}"


def _link(table: Table, call: Call, name: str, token: str) -> str:
    kept = {"$select": call.query.get("$select")}
    if name == "$skiptoken":
        kept["$deltatoken"] = call.query.get("$deltatoken")
    options = [f"{option}={quote(value, safe=',')}" for option, value in kept.items() if value is not None]
    return f"{call.base}/{table.collection}?{'&'.join([*options, f'{name}={quote(token)}'])}"


def _written(upto: int, after: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([upto, after]).encode()).decode()


def _cursor(call: Call) -> tuple[int, int] | None:
    token = call.query.get("$skiptoken")
    if token is None:
        return None
    try:
        upto, after = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        raise faults.invalid("The $skiptoken is not valid.") from None
    return int(upto), int(after)
