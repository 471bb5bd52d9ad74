"""What travels on `changes.<system>`, `identify`, `links` and `rereads.<system>`: small frozen values.

Promises: each survives its JSON; unknown keys are ignored, so neighbouring versions understand each other.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from isthmus.codecs.change import Change, Value
from isthmus.codecs.limits import Use
from isthmus.codecs.linked import Linked

EXTERNAL = "@external"  # no field is called so


def native_key(system: str, record_id: str) -> bytes:
    """The key of a record's own frames and table rows."""
    return f"{system}:{record_id}".encode()


class Arrival(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A change on its way to intake. `whole`: it is a full read of the record, not a difference. `answers`: the change
    id of the gap that this read fills. `again`: it was received before, under this subject of the ledger, and comes again:
    it was a dead letter, or merge could not do with it what intake thought.
    `merged_into`: the record of the same system that it was merged into there. With `swept` it is no change, and its
    `change` names no record: all that a full read met, under that version, has been said. `use`: of whose budget what it
    leads to is."""

    change: Change
    correlation: str
    whole: bool = False
    answers: str | None = None
    again: str | None = None
    merged_into: str | None = None
    swept: bool = False
    use: Use = "interactive"


class Found(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A record as a feed read it: own field names to plain values, None is null."""

    fields: Mapping[str, Value]
    version: str
    changed_at: str | None = None


class Reread(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Ask for a record to be read: after a webhook's hint, a gap, or a write that met another version.

    `version` is what the read is at least as new as, for a platform whose reads carry none. `nonce` makes the answer a
    change of its own even where the record did not change. `holds`: we made this record, at `version` and with this in
    it; should it be gone before anybody read it, it is still known whose end that is. `at` is when that happened which
    led here, RFC 3339, for a platform whose reads do not tell when a record changed. A feed has read it already: `found`;
    with `quiet` it is to be known and is no news yet. `full` is the number of the full read that met it. With `swept` it
    names no record: all that full read number `full`, or under `version`, met has been said, so what it did not meet may be
    gone; `way` is the key by which it went to its partition. `told`: a
    delete that waits for word whether the record was merged into another; `merged_into`: the platform said so itself.
    `use`: of whose budget the read is, and all that it leads to.
    """

    object: str
    record_id: str
    correlation: str
    version: str | None = None
    answers: str | None = None
    nonce: str | None = None
    holds: dict[str, Value] | None = None
    at: str | None = None
    found: Found | None = None
    quiet: bool = False
    full: int = 0
    swept: bool = False
    way: str = ""
    told: Change | None = None
    merged_into: str | None = None
    use: Use = "interactive"


class Unlinked(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A change whose record nobody has met, or that says anew who it is; `external_id` is the canonical id that the record
    itself carries, `merged_into` the record of the same system that it was merged into there."""

    linked: Linked
    external_id: str | None
    merged_into: str | None = None


class Link(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """This native record is that golden record. `said`: what it said of the fields that link records; None where whoever
    says so does not know."""

    system: str
    native_id: str
    entity: str
    canonical: str
    said: Mapping[str, Value] | None = None
