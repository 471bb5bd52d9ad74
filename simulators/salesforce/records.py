"""Single records by REST, as calls that come by HTTP and as parts of Composite requests (salesforce.md §4.1).

Promises: the same call gives the same status and body whichever way it came; what is refused is raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from isthmus.simulators.salesforce.faults import refused
from isthmus.simulators.salesforce.hand import Hand
from isthmus.simulators.salesforce.schema import describe

UPSERTS_ANSWER_SINCE = 46.0


@dataclass(frozen=True)
class Reply:
    """A status, JSON (None: no body) and headers."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


def perform(hand: Hand, method: str, url: str, body: Any) -> Reply:
    """A call to `/services/data/vNN.N/sobjects/…`, percent-encoded."""
    split = urlsplit(url)
    parts = [unquote(part) for part in split.path.partition("/sobjects")[2].strip("/").split("/")]
    asked = parse_qs(split.query).get("fields", [None])[0]
    match method, parts:
        case "GET", [name, "describe"]:
            return Reply(200, describe(hand.org.object(name)))
        case "POST", [name] if name:
            return _made(hand, name, hand.insert(name, _fields(body)))
        case "GET", [name, record_id]:
            return Reply(200, shown(hand, name, hand.org.row(name, record_id), asked))
        case "PATCH", [name, record_id]:
            hand.update(name, record_id, _fields(body))
            return Reply(204)
        case "DELETE", [name, record_id]:
            hand.delete(name, record_id)
            return Reply(204)
        case "GET", [name, key, *value]:
            return Reply(200, shown(hand, name, _by_key(hand, name, key, "/".join(value)), asked))
        case "PATCH", [name, key, *value]:
            return _upsert(hand, name, key, "/".join(value), body)
    raise refused(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{method}' not allowed")


def _made(hand: Hand, name: str, record_id: str, **more: Any) -> Reply:
    location = f"/services/data/v{hand.version}/sobjects/{name}/{record_id}"
    return Reply(201, {"id": record_id, "success": True, "errors": [], **more}, {"Location": location})


def _upsert(hand: Hand, name: str, key: str, value: str, body: Any) -> Reply:
    """201 created; 200 with a body from v46, 204 before; 300 where several match."""
    record_id, created = hand.upsert(name, key, value, _fields(body))
    if created:
        return _made(hand, name, record_id, created=True)
    if float(hand.version) < UPSERTS_ANSWER_SINCE:
        return Reply(204)
    return Reply(200, {"id": record_id, "success": True, "errors": [], "created": False})


def _by_key(hand: Hand, name: str, key: str, value: str) -> Mapping[str, Any]:
    found = hand.org.matching(name, key, value)
    if not found:
        raise refused(404, "NOT_FOUND", "The requested resource does not exist")
    return hand.org.row(name, found[0])


def shown(hand: Hand, name: str, row: Mapping[str, Any], asked: str | None) -> dict[str, Any]:
    """A row as GET answers it."""
    names = asked.split(",") if asked else list(row)
    for one in names:
        if one not in hand.org.object(name).fields:
            raise refused(400, "INVALID_FIELD", f"No such column '{one}' on entity '{name}'.")
    return {"attributes": attributes(hand.version, name, row["Id"]), **{one: row[one] for one in names}}


def attributes(version: str, name: str, record_id: str) -> dict[str, str]:
    """The `attributes` of a record."""
    return {"type": name, "url": f"/services/data/v{version}/sobjects/{name}/{record_id}"}


def _fields(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        message = "The HTTP entity body is required, but this request has no entity body."
        raise refused(400, "JSON_PARSER_ERROR", message)
    if "Id" in body or "id" in body:
        raise refused(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data.", ("Id",))
    return {name: value for name, value in body.items() if name != "attributes"}
