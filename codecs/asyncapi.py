"""The AsyncAPI 3.0 document of the canonical events, made from the models that describe them.

Promises: one channel an entity, named as the topic is; the same entities give the same document.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from isthmus.codecs.events import KINDS, EventData, EventHeaders

SCHEMAS = "#/components/schemas"


def asyncapi(entities: Iterable[str]) -> dict[str, Any]:
    """The document for these entities."""
    names = sorted(entities)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Isthmus canonical events",
            "version": "1",
            "description": "CloudEvents 1.0 on Kafka, binary mode: attributes in headers, data in the value. Read "
            "committed. The key is the canonical id, so one record's events are read in the order they happened.",
        },
        "defaultContentType": "application/json",
        "channels": {f"events.{name}": _channel(name) for name in names},
        "operations": {f"receive-{name}": _operation(name) for name in names},
        "components": {"schemas": _schemas(), "messages": {name: _message(name) for name in names}},
    }


def _channel(name: str) -> dict[str, Any]:
    return {
        "address": f"events.{name}",
        "description": f"Everything that happens to golden records of {name}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {"kafka": {"topic": f"events.{name}", "bindingVersion": "0.5.0"}},
    }


def _operation(name: str) -> dict[str, Any]:
    return {"action": "receive", "channel": {"$ref": f"#/channels/events.{name}"}}


def _message(name: str) -> dict[str, Any]:
    types = [f"isthmus.{name}.{kind}" for kind in KINDS]
    return {
        "name": name,
        "contentType": "application/json",
        "headers": {"allOf": [{"$ref": f"{SCHEMAS}/EventHeaders"}, {"properties": {"ce_type": {"enum": types}}}]},
        "payload": {"$ref": f"{SCHEMAS}/EventData"},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": "The canonical id."}, "bindingVersion": "0.5.0"}
        },
    }


def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    for model in (EventData, EventHeaders):
        schema = model.model_json_schema(ref_template=SCHEMAS + "/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    return schemas
