"""Canonical events: what changed in a golden record, as CloudEvents 1.0 for anyone on Kafka.

Promises: binary mode, one record an event, keyed by canonical id, so that the order a record's events are read in is the
order they happened; an id that a replay repeats. The pydantic models are the schema people get in the AsyncAPI document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from isthmus.codecs.change import Value

SOURCE = "/isthmus"
KINDS = ("created", "updated", "deleted", "linked", "unlinked")
Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Changed:
    """One field's new golden value, the one before, and why."""

    value: Value
    previous: Value
    system: str
    native_id: str
    rule: str
    changed_at: str
    change_id: str


@dataclass(frozen=True, slots=True)
class CanonicalEvent:
    """One event. `time` is when the change was made at its source, RFC 3339; None where it is not known."""

    id: str
    entity: str
    kind: str
    canonical: str
    revision: int
    time: str | None
    correlation: str
    changed: Mapping[str, Changed]
    links: Mapping[str, Mapping[str, bool]]

    @property
    def type(self) -> str:
        """The CloudEvents type."""
        return f"isthmus.{self.entity}.{self.kind}"


class ChangedData(BaseModel):
    """A field's change."""

    model_config = ConfigDict(extra="forbid")

    value: Any = Field(description="The golden value now; null is a value.")
    previous: Any = Field(description="The golden value before.")
    system: str = Field(description="The system that the value came from.")
    native_id: str = Field(description="The record it came from.")
    rule: str = Field(description="The rule that chose it.")
    changed_at: str = Field(description="When it was changed there.")
    change_id: str = Field(description="The change that brought it.")


class EventData(BaseModel):
    """The data of every canonical event."""

    model_config = ConfigDict(extra="forbid")

    entity: str = Field(description="The canonical entity.")
    id: str = Field(description="The canonical id.")
    revision: int = Field(description="Grows with every event of the record.")
    changed: dict[str, ChangedData] = Field(description="The fields whose golden value changed.")
    links: dict[str, dict[str, bool]] = Field(description="Per system, its records and whether each still exists.")


class EventHeaders(BaseModel):
    """The CloudEvents attributes, as Kafka headers."""

    ce_specversion: str = Field("1.0", description="CloudEvents 1.0.")
    ce_id: str = Field(description="The event's id; the same however often the event is produced anew.")
    ce_source: str = Field(SOURCE, description="This node.")
    ce_type: str = Field(description="isthmus.<entity>.<kind>.")
    ce_subject: str = Field(description="The canonical id.")
    ce_time: str | None = Field(None, description="When the change was made at its source, RFC 3339.")
    ce_correlationid: str = Field(description="Begins at the source: its transaction, or its request.")


def to_kafka(event: CanonicalEvent) -> tuple[bytes, bytes, Headers]:
    """Key, value and headers of the event's record."""
    data = {
        "entity": event.entity,
        "id": event.canonical,
        "revision": event.revision,
        "changed": event.changed,
        "links": event.links,
    }
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": event.id,
        "ce_source": SOURCE,
        "ce_type": event.type,
        "ce_subject": event.canonical,
        "ce_correlationid": event.correlation,
        "content-type": "application/json",
        **({"ce_time": event.time} if event.time else {}),
    }
    return event.canonical.encode(), orjson.dumps(data), [(name, value.encode()) for name, value in attributes.items()]
