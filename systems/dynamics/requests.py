"""What a write is on the wire of the Web API: address, condition, columns, and by which name it is found again there
(dynamics.md §3.2, §3.7).

Promises: pure; a repeat is the same request, with the same ids. Those are made of the change's own correlation id and never
are it: the platform counts the depth of its own chains by that one, and we are no link of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid5

import orjson

from isthmus.codecs.dynamics_batch import BatchRequest
from isthmus.config.errors import ConflictError, PermanentError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.dynamics import records
from isthmus.systems.dynamics.session import Session
from isthmus.systems.protocol import Reference, Write

ACTIONS = "Microsoft.Dynamics.CRM."
CORRELATION, REQUEST = "x-ms-correlation-request-id", "x-ms-client-request-id"
OURS = UUID("ce8c5127-248f-584c-9c59-6610b62ebe02")

Objects = Mapping[str, SystemMapping]
# Where a changeset's earlier writes are found in it, by what they write.
Earlier = Mapping[tuple[str, str], str]


def request(
    environment: Session, objects: Objects, wish: Write, if_match: str | None, earlier: Earlier | None = None
) -> BatchRequest:
    """The request for one write; PermanentError where nothing is mapped."""
    mapping = mapped(objects, wish.object)
    headers = traced([wish]) | ({"If-Match": if_match} if if_match else {})
    if wish.delete:
        path = f"{environment.root}{_path(mapping, wish)}?tag={tag(environment)}"
        return BatchRequest("DELETE", path, headers)
    asks = f"$select={mapping.primary_key},{records.VERSION}&tag={tag(environment)}"
    return BatchRequest(
        "PATCH",
        f"{environment.root}{_path(mapping, wish)}?{asks}",
        {"Content-Type": "application/json", "Prefer": "return=representation"} | headers,
        orjson.dumps(body(objects, wish, earlier or {})),
    )


def traced(wishes: Sequence[Write]) -> dict[str, str]:
    """The headers by which the platform's traces know the change that writes come of, as Microsoft's own ServiceClient
    sends them; several changes have one id together."""
    known = sorted({wish.correlation for wish in wishes if wish.correlation})
    if not known:
        return {}
    change = str(uuid5(OURS, "\n".join(known)))
    records_ = "\n".join(f"{wish.object}/{wish.external_id}" for wish in wishes)
    return {CORRELATION: change, REQUEST: str(uuid5(OURS, f"{change}\n{records_}"))}


def condition(wish: Write) -> str | None:
    """The If-Match header: the version that must still be there, else any for an update, so that it never creates."""
    if not wish.if_version:
        return None if wish.record_id is None else "*"
    if not wish.if_version.isdecimal():
        raise ConflictError(f"{wish.if_version!r} is the version of no live row")
    return f'W/"{int(wish.if_version)}"'


def mapped(objects: Objects, name: str) -> SystemMapping:
    """The mapping of a table; PermanentError where there is none."""
    try:
        return objects[name]
    except KeyError:
        raise PermanentError(f"dynamics {name} is not mapped", code="UNMAPPED") from None


def tag(environment: Session) -> str:
    """Our name in what our writes raise."""
    return quote(environment.config.client_name, safe="")


def _path(mapping: SystemMapping, wish: Write) -> str:
    if wish.record_id is not None:
        return f"{records.collection(mapping)}({quote(wish.record_id, safe='')})"
    return by_key(mapping, wish.external_id)


def by_key(mapping: SystemMapping, external_id: str) -> str:
    """The address of a row by its alternate key, percent-encoded: it is a URI in a body too."""
    value = quote(external_id.replace("'", "''"), safe="")
    return f"{records.collection(mapping)}({mapping.external_id}='{value}')"


def body(objects: Objects, wish: Write, earlier: Earlier) -> dict[str, Any]:
    """The columns to send; never the key that stands in the path."""
    mapping = mapped(objects, wish.object)
    key = mapping.primary_key if wish.record_id is not None else mapping.external_id
    written = mapping.lookups
    fields = {
        f"{written[name]}@odata.bind" if name in written else name: value
        for name, value in wish.fields.items()
        if name != key
    }
    return fields | {f"{name}@odata.bind": _bound(objects, to, earlier) for name, to in wish.references.items()}


def _bound(objects: Objects, to: Reference, earlier: Earlier) -> str:
    mapping = mapped(objects, to.object)
    return earlier.get((to.object, to.external_id)) or f"/{by_key(mapping, to.external_id)}"
