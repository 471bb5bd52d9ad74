"""The org's change events in Avro, as the Pub/Sub API delivers them (salesforce.md §2.4).

Promises: schemas look like the real ones: the header first, every field a union with null, addresses and names as records;
a schema's id is a hash of its text. What is told is what CometD tells of the same event, with bitmaps instead of names.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastavro import parse_schema, schemaless_writer

from isthmus.simulators.salesforce.schema import Field, Object

TEXTS = {"type": "array", "items": "string"}
KINDS = ("CREATE", "UPDATE", "DELETE", "UNDELETE")
HEADER = {
    "type": "record",
    "name": "ChangeEventHeader",
    "fields": [
        {"name": "entityName", "type": "string"},
        {"name": "recordIds", "type": TEXTS},
        {
            "name": "changeType",
            "type": {
                "type": "enum",
                "name": "ChangeType",
                "symbols": [*KINDS, *(f"GAP_{kind}" for kind in KINDS), "GAP_OVERFLOW", "SNAPSHOT"],
            },
        },
        {"name": "changeOrigin", "type": "string"},
        {"name": "transactionKey", "type": "string"},
        {"name": "sequenceNumber", "type": "int"},
        {"name": "commitTimestamp", "type": "long"},
        {"name": "commitNumber", "type": "long"},
        {"name": "commitUser", "type": "string"},
        {"name": "nulledFields", "type": TEXTS},
        {"name": "diffFields", "type": TEXTS},
        {"name": "changedFields", "type": TEXTS},
    ],
}
COMPOUNDS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "Address": (
        *((part, "string") for part in ("Street", "City", "State", "PostalCode", "Country")),
        ("Latitude", "double"),
        ("Longitude", "double"),
        ("GeocodeAccuracy", "string"),
    ),
    "PersonName": (("Salutation", "string"), ("FirstName", "string"), ("LastName", "string")),
    "Switchable_PersonName": (("Salutation", "string"), ("FirstName", "string"), ("LastName", "string")),
    "Location": (("Latitude", "double"), ("Longitude", "double")),
}
# By the type that describe tells: Avro's type, and the schema's word for it.
TYPES = {
    "int": ("int", "Data:Integer"),
    "currency": ("double", "Data:Currency"),
    "double": ("double", "Data:Double"),
    "boolean": ("boolean", "Data:Boolean"),
    "datetime": ("long", "Data:DateTime"),
    "date": ("long", "Data:DateOnly"),
    "picklist": ("string", "Data:DynamicEnum"),
    "phone": ("string", "Data:Phone"),
    "url": ("string", "Data:Url"),
    "email": ("string", "Data:Email"),
    "textarea": ("string", "Data:StringPlusClob"),
    "reference": ("string", "ForeignKey:EntityId"),
}
NEVER_TOLD = ("Id", "SystemModstamp")


@dataclass(frozen=True)
class Schema:
    """An event's schema with its id."""

    id: str
    text: str
    avro: Any
    fields: tuple[Mapping[str, Any], ...]

    def index(self, name: str) -> int:
        """Which bit stands for a field."""
        return next(place for place, field in enumerate(self.fields) if field["name"] == name)

    def parts(self, name: str) -> tuple[str, ...]:
        """The parts of a compound field."""
        compound = _compound_of(self.fields[self.index(name)])
        return tuple(part for part, _ in COMPOUNDS[compound])


def schema_of(one: Object) -> Schema:
    """The schema of an object's events as the object is now."""
    name = f"{one.name.removesuffix('__c') + '__' if one.name.endswith('__c') else one.name}ChangeEvent"
    fields = [{"name": "ChangeEventHeader", "type": HEADER, "doc": "Data:ComplexValueType"}, *_fields(one)]
    told = {"type": "record", "name": name, "namespace": "com.sforce.eventbus", "fields": fields}
    text = json.dumps(told, separators=(",", ":"))
    digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
    schema_id = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return Schema(schema_id, text, parse_schema(json.loads(text), named_schemas={}), tuple(fields))


def _fields(one: Object) -> Iterator[dict[str, Any]]:
    """In the object's order; a compound field stands where its first part does."""
    known: set[str] = set()
    compounds: set[str] = set()
    for field in one.fields.values():
        if field.name in NEVER_TOLD or (field.part_of and field.part_of[0] in compounds):
            continue
        if field.part_of:
            compounds.add(field.part_of[0])
            yield _compound(field.part_of[0], known)
        elif (one.name, field.name) == ("Account", "Name"):
            yield _nullable("Name", ["string", _record("Switchable_PersonName", known)], "Data:Switchable_PersonName")
        else:
            yield _simple(field)


def _simple(field: Field) -> dict[str, Any]:
    kind, doc = TYPES.get(field.type, ("string", "Data:Text"))
    doc = "CreatedDate:DateTime" if field.name == "CreatedDate" else doc
    number = hashlib.md5(field.name.encode(), usedforsecurity=False).hexdigest()[:11]
    return _nullable(field.name, [kind], f"{doc}:00N5g{number}"[:40] if field.name.endswith("__c") else doc)


def _compound(name: str, known: set[str]) -> dict[str, Any]:
    kind = "Address" if name.endswith("Address") else "PersonName" if name == "Name" else "Location"
    return _nullable(name, [_record(kind, known)], f"Data:{kind}")


def _record(kind: str, known: set[str]) -> Any:
    """A record type; by its name alone where it was told before."""
    if kind in known:
        return kind
    known.add(kind)
    parts = [{"name": part, "type": ["null", type], "default": None} for part, type in COMPOUNDS[kind]]
    return {"type": "record", "name": kind, "fields": parts}


def _nullable(name: str, types: list[Any], doc: str) -> dict[str, Any]:
    return {"name": name, "type": ["null", *types], "doc": doc, "default": None}


def _compound_of(field: Mapping[str, Any]) -> str:
    return str(field["doc"]).partition(":")[2]


# -- events


def encoded(payload: Mapping[str, Any], schema: Schema) -> bytes:
    """A payload that CometD would tell, in Avro."""
    head = payload["ChangeEventHeader"]
    record = {field["name"]: _value(payload.get(field["name"]), field) for field in schema.fields[1:]}
    record["ChangeEventHeader"] = {**head, **_bitmaps(payload, list(head["changedFields"]), schema)}
    stream = io.BytesIO()
    schemaless_writer(stream, schema.avro, record)
    return stream.getvalue()


def _value(value: Any, field: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping) and value.keys() == {"diff"}:
        return value["diff"]
    if isinstance(value, str) and "long" in field["type"]:
        at = datetime.fromisoformat(value.replace("Z", "+00:00"))
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    return value


def _bitmaps(payload: Mapping[str, Any], changed: list[str], schema: Schema) -> dict[str, list[str]]:
    nulled, different = [], []
    if payload["ChangeEventHeader"]["changeType"] == "UPDATE":
        nulled = [name for name in changed or _nulls(payload) if _is_null(payload, name)]
        different = [name for name, value in payload.items() if isinstance(value, Mapping) and "diff" in value]
    return {
        "changedFields": bitmaps(changed, schema),
        "nulledFields": bitmaps(nulled, schema),
        "diffFields": bitmaps(different, schema),
    }


def _nulls(payload: Mapping[str, Any]) -> list[str]:
    return [name for name, value in payload.items() if value is None]


def _is_null(payload: Mapping[str, Any], name: str) -> bool:
    """Told as null; a part that its compound field lacks was dropped for being null."""
    compound, dot, part = name.partition(".")
    if compound not in payload:
        return False
    value = payload[compound]
    return value is None or bool(dot and isinstance(value, Mapping) and value.get(part) is None)


def bitmaps(names: Iterable[str], schema: Schema) -> list[str]:
    """Names as bitmaps: the top level's first, then those of compound fields."""
    masks: dict[str, int] = {}
    for name in names:
        compound, dot, part = name.partition(".")
        index = schema.index(compound)
        where, bit = (f"{index}-", schema.parts(compound).index(part)) if dot else ("", index)
        masks[where] = masks.get(where, 0) | 1 << bit
    return [f"{where}0x{_bytes_of(mask)}" for where, mask in sorted(masks.items())]


def _bytes_of(mask: int) -> str:
    digits = f"{mask:x}"
    return digits.zfill(len(digits) + len(digits) % 2)
