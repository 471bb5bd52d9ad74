"""What merge takes in: changes under canonical names, deliver's reports of what a write came to, orders to tell again, and
what one golden record hands over to another.

Promises: each survives its JSON, which tells them apart by `kind`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from isthmus.codecs.change import Operation, Value
from isthmus.codecs.events import Source
from isthmus.codecs.limits import Use
from isthmus.codecs.reviews import STEWARD

# What a write does to a record besides bringing its values: nothing, or end it by the policy, or take that back, or make it
# part of another one there.
Action = Literal["upsert", "deactivate", "delete", "unlink", "reactivate", "merge"]


class Linked(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="kind", tag="change"):
    """A change whose record is known to be a golden record. `tagged`: whether the platform says that we made it,
    None where it does not tell; `row`: it is a full read, not a difference. `refers`: fields that point at another record,
    by its native id, of which nobody knows yet whose it is. `text_differences`: texts of which only that is told by which
    they differ from those before. `use`: of whose budget the writes are that it leads to."""

    system: str
    native_id: str
    entity: str
    canonical: str
    operation: Operation
    fields: Mapping[str, Value]
    cleared: tuple[str, ...]
    version: str
    changed_at: str
    change_id: str
    correlation: str
    tagged: bool | None = None
    row: bool = False
    refers: Mapping[str, str] = {}
    text_differences: Mapping[str, str] = {}
    use: Use = "interactive"

    def at(self, canonical: str) -> Linked:
        """The same change, of that golden record."""
        return msgspec.structs.replace(self, canonical=canonical)

    def values(self) -> Mapping[str, Value]:
        """Every field the change speaks of; None where it was cleared."""
        return {**dict.fromkeys(self.cleared), **self.fields} if self.cleared else self.fields


class Report(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="report"):
    """What became of the write of revision `rev`: `fields` are the values it carried, `version` the record's new one, or
    the one that a delete found, or that a refused write expected and did not find. `held`: not carried out until a person
    says so."""

    system: str
    native_id: str
    canonical: str
    entity: str
    rev: int
    outcome: Literal["written", "refused", "held"]
    version: str | None
    fields: Mapping[str, Value]
    action: Action = "upsert"


class Tell(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="tell"):
    """A person wants a system told again what it lacks of a golden record: a write to it was a dead letter. `found`: or
    another record wants to point at its record there, which has to bear our id for that."""

    system: str
    canonical: str
    entity: str
    correlation: str
    found: bool = False


class Refer(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A field of a record points at this native record (`target`): whose is it? Asked where that is known; the rest is
    the change that said so. `asks`: it is to be answered also where nobody knows."""

    system: str
    target: str
    field: str
    to: str
    native_id: str
    entity: str
    canonical: str
    version: str
    changed_at: str
    change_id: str
    correlation: str
    tagged: bool | None = None
    row: bool = False
    asks: bool = False
    use: Use = "interactive"

    def order(self) -> tuple[str, str]:
        """What was said later sorts later."""
        return self.version, self.change_id


class Resolved(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="kind", tag="resolved"):
    """What a field points at: the golden record `value`, in the change that said so; empty where nobody knows one. `was`:
    it was another golden record before, and only that is new. `target`: the native record that it points at."""

    system: str
    native_id: str
    entity: str
    canonical: str
    field: str
    value: str
    version: str
    changed_at: str
    change_id: str
    correlation: str
    tagged: bool | None = None
    row: bool = False
    was: str | None = None
    target: str = ""
    use: Use = "interactive"

    def linked(self) -> Linked:
        """As a change of that field alone."""
        return Linked(
            self.system,
            self.native_id,
            self.entity,
            self.canonical,
            "update",
            {self.field: self.value},
            (),
            self.version,
            self.changed_at,
            self.change_id,
            self.correlation,
            self.tagged,
            self.row,
        )


class Decide(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="kind", tag="decide"):
    """A steward decides about a field: its value is `value` whatever the systems say (`pin`), or is theirs again, from what
    it is now (`release`) or from what it was before the pin (`undo`). `at` is RFC 3339, `by` who, `order` the id of it."""

    canonical: str
    entity: str
    field: str
    action: Literal["pin", "release", "undo"]
    order: str
    by: str
    at: str
    value: Value = None
    why: str = ""
    system: str = STEWARD

    @property
    def correlation(self) -> str:
        """What follows from it is known by this."""
        return f"{STEWARD}/{self.order}"


class Activate(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="activate"):
    """From here on an entity's mapping is this one: `document` is it as JSON, `version` its digest; `at` is RFC 3339,
    `order` the id of who wanted it. `seat`: a key that leads to the partition which this one is for."""

    entity: str
    version: str
    document: str
    at: str
    order: str
    seat: str


class Reevaluate(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="reevaluate"):
    """Choose anew what counts in the golden records of an entity, by the mapping version that is named; those behind the
    canonical id `after` are still to do."""

    entity: str
    version: str
    seat: str
    after: str = ""


class Yield(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="yield"):
    """This golden record and the `winner` are one: it is to hand over what it holds, and to forward what still arrives.
    `cause`: the change by which it came out; `ended`: the record that told it was merged into another where it lives."""

    canonical: str
    winner: str
    entity: str
    correlation: str
    cause: Source
    ended: bool = False


class Absorb(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="absorb"):
    """All that `loser` held (`state`: the golden record as it is stored) is this golden record's from now on; with
    `parted` that was never the loser's, and the loser lives on without it."""

    canonical: str
    loser: str
    entity: str
    correlation: str
    cause: Source
    state: msgspec.Raw
    parted: bool = False
    ended: bool = False


class Settled(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="settled"):
    """Nothing that `loser` wished of a system up to revision `rev` is under way any more."""

    canonical: str
    loser: str
    system: str
    entity: str
    rev: int
    correlation: str


class Loaded(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="loaded"):
    """These records, as they were read, are this golden record: they come at once, so that none of them is created again
    in the system of another."""

    canonical: str
    entity: str
    rows: tuple[Linked, ...]
    correlation: str


class Part(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="part"):
    """This record was never this golden record: it leaves, with all it said, for the one that is called `into`."""

    canonical: str
    into: str
    system: str
    native_id: str
    entity: str
    correlation: str
    cause: Source


# What is folded into one golden record; the rest leaves it.
Folding = Linked | Report | Tell | Absorb | Settled | Loaded | Resolved | Decide
Leaving = Yield | Part
Merged = Folding | Leaving | Activate | Reevaluate
