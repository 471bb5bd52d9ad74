"""The change event: what one system said about one record, in the one form every stage passes on.

Promises: a `Change` is a value (frozen), it survives its JSON unchanged (keys in the documented order, unknown ones
ignored, so an older node reads a newer one's frames), and `change_id` is the same for the same change however often it
is delivered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Value = str | int | float | bool | None | list[Any] | dict[str, Any]
Operation = Literal["create", "update", "delete", "undelete", "gap", "overflow"]


class Change(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One change of one record.

    `record_id` is an 18-character Salesforce id or a lower-case GUID. `fields` holds plain values (money as a decimal
    string, an option as its integer, a reference as its id); `cleared` names the fields that were set to null. A field
    in neither was not touched, except in a `gap`, which does not tell the whole and asks for a read of the record, and
    in an `overflow`, which asks for a read of every record and whose `record_id` names none. `version` sorts in the
    source's own order and is None where the source gives none; `changed_at` is RFC 3339. `text_differences`: long texts
    of a `gap` that are told as what differs from those before (codecs/text_differences.py), and lacks nothing else.
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
    text_differences: Mapping[str, str] = {}

    def to_wire(self) -> dict[str, Any]:
        """The change as a dict, keys in the documented order; a difference is no value, and stays among stages."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "text_differences"}
