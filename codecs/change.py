"""The change event: what one system said about one record, in the one form every stage passes on.

Promises: a `Change` is a value (frozen), it survives `to_wire`/`from_wire` unchanged, and `change_id` is the same for
the same change however often it is delivered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Value = str | int | float | bool | None | list[Any] | dict[str, Any]
Operation = Literal["create", "update", "delete", "undelete", "gap", "overflow"]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one record.

    `record_id` is an 18-character Salesforce id or a lower-case GUID. `fields` holds plain values (money as a decimal
    string, an option as its integer, a reference as its id); `cleared` names the fields that were set to null. A field
    in neither was not touched, except in a `gap`, which does not tell the whole and asks for a read of the record, and
    in an `overflow`, which asks for a read of every record and whose `record_id` names none. `version` sorts in the
    source's own order and is None where the source gives none; `changed_at` is RFC 3339.
    """

    system: str
    entity: str
    record_id: str
    operation: Operation
    fields: Mapping[str, Value]
    cleared: tuple[str, ...]
    version: str | None
    changed_at: str | None
    transaction: str | None
    origin: str | None
    change_id: str

    def to_wire(self) -> dict[str, Any]:
        """The change as a JSON-ready dict, keys in the documented order."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Change:
        """The change that `to_wire` wrote; unknown keys are ignored, so an older node reads a newer one's frames."""
        known = {name: wire[name] for name in cls.__slots__}
        return cls(**{**known, "cleared": tuple(known["cleared"])})
