"""The one protocol every platform's adapter speaks, and the values that cross it.

Promises: at most eight methods; every method may be repeated without harm; failures are the `PlatformError`s of
config/errors.py and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from isthmus.codecs.arrival import Reread
from isthmus.codecs.change import Change, Value
from isthmus.codecs.limits import Limit
from isthmus.config.errors import DecodeError, PlatformError


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message of a change stream: its changes, the position after it, and the original.

    `position` is opaque text to hand back to `changes`. A message that cannot be decoded has `error` and no changes.
    `reads`: records to be read back, or that a feed has read, where a platform tells states rather than changes.
    `alert`: what people have to know until a delivery comes without one.
    """

    changes: tuple[Change, ...]
    position: str
    raw: bytes
    error: DecodeError | None = None
    reads: tuple[Reread, ...] = ()
    alert: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A record as a read found it: own field names to plain values (None is null), with the row's version.

    `exists` is False where the platform says that there is no such record. `version` is None where it gives none. `sure`
    is False where a record that is not there may only be hidden from us: nobody takes it for deleted. `merged_into`: the
    record that this one was merged into.
    """

    record_id: str
    exists: bool
    fields: Mapping[str, Value]
    version: str | None = None
    changed_at: str | None = None
    sure: bool = True
    merged_into: str | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A record that is known by its external id; it may be one that the same call writes."""

    object: str
    external_id: str


@dataclass(frozen=True, slots=True)
class Write:
    """Bring one record to these values (None clears). With `record_id` the record is updated, else upserted by
    `external_id`. `if_version`: refuse with ConflictError unless the record still has that version. `references`: lookup
    fields whose record has to be found by its external id, by field name. `delete`: delete the record with this
    `record_id`; that it is not there any more is success. `into`: merge it into the record with that id; only platforms on
    whose objects a mapping may say `on_merge: merge` are asked to. `correlation`: where the change began that it comes of;
    a platform that takes such an id in its own traces gets one made of it."""

    object: str
    external_id: str
    record_id: str | None
    fields: Mapping[str, Value]
    if_version: str | None = None
    references: Mapping[str, Reference] = field(default_factory=dict)
    delete: bool = False
    correlation: str = ""
    into: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What the platform answered: the record's id, its new version where known, and whether it was created. A delete
    gives no version."""

    record_id: str
    version: str | None
    created: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `isthmus check` or `isthmus provision`."""

    name: str
    ok: bool
    message: str
    hint: str = ""


class System(Protocol):
    """A platform. Objects and fields are named as the platform names them."""

    name: str

    async def open(self) -> None:
        """Make connections; raises AuthError early when the credentials are refused."""

    async def close(self) -> None:
        """Give connections back; safe to call twice."""

    def changes(self, position: str | None) -> AsyncIterator[Delivery]:
        """The change stream after `position` (None: from now on), for ever; raises ReplayLost where the platform has
        forgotten the position. A platform without a stream (webhooks only) ends at once."""

    async def read(self, object: str, record_ids: Sequence[str]) -> list[Row]:
        """The mapped columns of these records now, one Row an id, in any order, missing ones with exists=False."""

    def scan(self, object: str, since: str | None = None) -> AsyncIterator[Row]:
        """Every record of an object as it is now (with `since`, RFC 3339: those changed or deleted since then; a deleted
        one has exists=False), each once, in no order; pages are fetched as they are asked for."""

    async def write(self, writes: Sequence[Write]) -> list[Written | PlatformError]:
        """Carry out writes of different records, however many; one answer each, in order. Chosen by number: single
        calls, composite/batch, bulk. Repeating it is harmless."""

    async def check(self) -> list[Finding]:
        """Can we do our work here? One finding a question; never raises."""

    async def provision(self, apply: bool) -> list[Finding]:
        """What the platform needs for us (key fields, change tracking, channels, webhook steps, roles), each with whether
        it is there; with `apply` it is made."""


def limits_of(system: System) -> tuple[Limit, ...]:
    """What a platform told of its limits with its answers so far; nothing where it tells nothing. An adapter that hears of
    them has a property `limits`."""
    told: tuple[Limit, ...] = getattr(system, "limits", ())
    return told
