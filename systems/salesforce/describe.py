"""What an org says of an object's fields (`sobjects/X/describe`; salesforce.md §4.2).

Promises: as systems/describing.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.config.mapping import SystemMapping
from isthmus.systems.describing import Described, Kind
from isthmus.systems.salesforce.checks import described
from isthmus.systems.salesforce.session import Session

KINDS: dict[str, Kind] = {
    "boolean": "boolean",
    "combobox": "choice",
    "currency": "money",
    "date": "date",
    "datetime": "datetime",
    "double": "number",
    "email": "string",
    "encryptedstring": "string",
    "id": "reference",
    "int": "integer",
    "long": "integer",
    "percent": "number",
    "phone": "string",
    "picklist": "choice",
    "reference": "reference",
    "string": "string",
    "textarea": "string",
    "url": "string",
}


async def describe(org: Session, mapping: SystemMapping) -> dict[str, Described]:
    """The object's fields by name."""
    return {name: _field(told) for name, told in (await described(org, mapping)).items()}


def _field(told: Mapping[str, Any]) -> Described:
    kind = KINDS.get(str(told.get("type")), "other")
    options = {
        str(one["value"]): str(one.get("label")) for one in told.get("picklistValues") or () if one.get("active")
    }
    return Described(
        name=str(told["name"]),
        kind=kind,
        writable=bool(told.get("updateable")),
        length=told.get("length") or None,
        options=options if kind == "choice" else None,
        # Only a restricted picklist refuses other values than its own.
        closed=bool(told.get("restrictedPicklist")),
        made_by="a formula" if told.get("calculated") else "",
    )
