"""Canonical events: what changed in a golden record, as CloudEvents 1.0 for anyone on Kafka.

Promises: binary mode, one record an event, keyed by canonical id, so that the order a record's events are read in is the
order they happened; an id that a replay repeats. The pydantic models are the schema people get in the AsyncAPI document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from isthmus.codecs.change import Value

SOURCE = "/isthmus"
KINDS = ("created", "updated", "deleted", "restored", "linked", "unlinked", "merged", "redirected")


class Source(msgspec.Struct, frozen=True, gc=False):
    """A change, as far as it explains a value: of which record, when, and its id."""

    system: str
    native_id: str
    changed_at: str
    change_id: str


class Changed(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One field's new golden value, the one before, and the rule. `source`: the change that brought the value, where it is
    not the event's own cause."""

    value: Value
    previous: Value
    rule: str
    source: Source | None = None


class SourceData(BaseModel):
    """A change that explains a value."""

    model_config = ConfigDict(extra="forbid")

    system: str = Field(description="The system that said it.")
    native_id: str = Field(description="The record it was said of.")
    changed_at: str = Field(description="When it was changed there, RFC 3339; empty where it is not known.")
    change_id: str = Field(description="The change event's id; empty where it was the answer to a write of ours.")


class ChangedData(BaseModel):
    """A field's change."""

    model_config = ConfigDict(extra="forbid")

    value: Any = Field(description="The golden value now; null is a value.")
    previous: Any = Field(description="The golden value before.")
    rule: str = Field(description="The rule that chose it.")
    source: SourceData | None = Field(
        None, description="The change that brought it, where it is not the event's cause."
    )


class EventData(BaseModel):
    """The data of every canonical event."""

    model_config = ConfigDict(extra="forbid")

    entity: str = Field(description="The canonical entity.")
    id: str = Field(description="The canonical id.")
    revision: int = Field(description="Grows with every event of the record.")
    cause: SourceData = Field(description="The change that led to the event.")
    changed: dict[str, ChangedData] = Field(description="The fields whose golden value changed.")
    links: dict[str, dict[str, bool]] = Field(description="Per system, its records and whether each still exists.")
    absorbed: str | None = Field(None, description="Of `merged`: the golden record that turned out to be this one.")
    redirect: str | None = Field(None, description="Of `redirected`: the golden record that this turned out to be.")


class EventHeaders(BaseModel):
    """The CloudEvents attributes, as Kafka headers."""

    ce_specversion: str = Field("1.0", description="CloudEvents 1.0.")
    ce_id: str = Field(description="The event's id; the same however often the event is produced anew.")
    ce_source: str = Field(SOURCE, description="This node.")
    ce_type: str = Field(description="isthmus.<entity>.<kind>.")
    ce_subject: str = Field(description="The canonical id.")
    ce_time: str | None = Field(None, description="When the change was made at its source, RFC 3339.")
    ce_correlationid: str = Field(description="Begins at the source: its transaction, or its request.")


class Body(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """`EventData` as it is written."""

    entity: str
    id: str
    revision: int
    cause: Source
    changed: Mapping[str, Changed]
    links: Mapping[str, Mapping[str, bool]]
    absorbed: str | None = None
    redirect: str | None = None
