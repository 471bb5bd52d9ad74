"""Which steps an event fires, and the request that each sends (dynamics.md §1.1 to §1.3). Pure.

Promises: steps are rows like any other, so registering in process or over the Web API is the same; a posting holds all
that its delivery needs.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from isthmus.simulators.dynamics import faults
from isthmus.simulators.dynamics.store import Row, Store
from isthmus.simulators.dynamics.values import Reference
from isthmus.simulators.dynamics.work import Event

TABLES = ("sdkmessageprocessingstep", "serviceendpoint", "sdkmessage", "sdkmessagefilter")
AUTH_TYPES = {"WebhookKey": 4, "HttpHeader": 5, "HttpQueryString": 6}


@dataclass(frozen=True, slots=True)
class Step:
    """A registered step, with its endpoint. `attributes`: an Update fires it only where it names one; empty: always."""

    id: str
    name: str
    url: str
    auth_type: int
    secret: str
    message: str
    entity: str | None
    attributes: frozenset[str]
    asynchronous: bool

    def fires(self, event: Event) -> bool:
        """Is this step for that event?"""
        if self.message != event.message or self.entity not in (None, event.row.table.name):
            return False
        return event.message != "Update" or not self.attributes or bool(self.attributes & set(event.submitted))

    def credentials(self) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and query parameters that prove the sender."""
        if self.auth_type == AUTH_TYPES["WebhookKey"]:
            return {}, {"code": self.secret}
        pairs = settings(self.secret)
        return (pairs, {}) if self.auth_type == AUTH_TYPES["HttpHeader"] else ({}, pairs)


@dataclass(frozen=True, slots=True)
class Posting:
    """One webhook request."""

    step: Step
    operation_id: str
    message: str
    entity: str
    record_id: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


def steps(store: Store) -> list[Step]:
    """Every enabled step whose endpoint exists, oldest first."""
    rows = (row for row in store.all("sdkmessageprocessingstep") if row.get("statecode") == 0)
    return [step for row in rows if (step := _step(store, row)) is not None]


def request_headers(domain: str, event: Event, correlation_id: str, *, oversize: bool) -> dict[str, str]:
    """The platform's headers, without the credentials."""
    return {
        "Content-Type": "application/json",
        "x-ms-dynamics-organization": domain,
        "x-ms-dynamics-entity-name": event.row.table.name,
        "x-ms-dynamics-request-name": event.message,
        "x-ms-correlation-request-id": correlation_id,
        **({"x-ms-dynamics-msg-size-exceeded": "true"} if oversize else {}),
    }


def settings(secret: str) -> dict[str, str]:
    """The pairs of an `authvalue`: `<settings><setting name="…" value="…"/></settings>`; Fault 400 otherwise."""
    try:
        found = ElementTree.fromstring(secret)
    except ElementTree.ParseError:
        raise faults.invalid("authvalue is not a list of settings.") from None
    return {one.get("name", ""): one.get("value", "") for one in found.iter("setting")}


def settings_text(pairs: Iterable[tuple[str, str]]) -> str:
    """The `authvalue` of these pairs."""
    inner = "".join(f"<setting name={quoteattr(name)} value={quoteattr(value)}/>" for name, value in pairs)
    return f"<settings>{inner}</settings>"


def _step(store: Store, row: Row) -> Step | None:
    endpoint, message = _target(store, row, "eventhandler"), _target(store, row, "sdkmessageid")
    filtered = _target(store, row, "sdkmessagefilterid")
    if endpoint is None or message is None:
        return None
    named = str(row.get("filteringattributes") or "").split(",")
    return Step(
        id=row.id,
        name=str(row.get("name")),
        url=str(endpoint.get("url")),
        auth_type=int(str(endpoint.get("authtype"))),
        secret=str(endpoint.get("authvalue") or ""),
        message=str(message.get("name")),
        entity=None if filtered is None else str(filtered.get("primaryobjecttypecode")),
        attributes=frozenset(one.strip() for one in named if one.strip()),
        asynchronous=row.get("mode") == 1,
    )


def _target(store: Store, row: Row, column: str) -> Row | None:
    value = row.get(column)
    return store.get(value.table, value.id) if isinstance(value, Reference) else None
