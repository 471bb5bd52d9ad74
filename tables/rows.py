"""The rows table: each record as its last read found it, so that a read becomes the difference it is news of.

Promises: fields that a read finds as they were are no part of the change it makes; nulls of a record never seen before
are no opinion; a row that is gone becomes a delete whose version sorts after every version it had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.codecs.arrival import Reread
from isthmus.codecs.change import Change, Operation, Value


@dataclass(frozen=True, slots=True)
class KnownRow:
    """The last read of a record; `exists` is False once it was found gone."""

    version: str
    fields: Mapping[str, Value]
    exists: bool = True

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"version": self.version, "fields": self.fields, "exists": self.exists}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any] | None) -> KnownRow | None:
        """What `to_wire` wrote."""
        return None if wire is None else cls(wire["version"], wire["fields"], wire["exists"])


def news(
    system: str,
    request: Reread,
    known: KnownRow | None,
    exists: bool,
    fields: Mapping[str, Value],
    version: str,
    changed_at: str | None,
) -> tuple[Change, KnownRow] | None:
    """The change that this read tells of, and the row to remember; None where there never was such a record.

    A read older than the last one makes a change of no fields: it is answered, and says nothing.
    """
    if not exists:
        return None if known is None or not known.exists else _gone(system, request, known)
    stale = known is not None and version < known.version
    before: Mapping[str, Value] = {} if known is None or not known.exists else known.fields
    changed = {} if stale else {n: v for n, v in fields.items() if v != before.get(n)}
    operation: Operation = "update" if before else "create"
    change = _change(system, request, operation, changed, version, changed_at)
    return change, known if stale and known is not None else KnownRow(version, fields)


def _gone(system: str, request: Reread, known: KnownRow) -> tuple[Change, KnownRow]:
    version = known.version + ".deleted"
    return _change(system, request, "delete", {}, version, None), KnownRow(version, known.fields, exists=False)


def _change(
    system: str, request: Reread, operation: Operation, fields: Mapping[str, Value], version: str, at: str | None
) -> Change:
    suffix = f"#{request.nonce}" if request.nonce else ""
    return Change(
        system=system,
        entity=request.object,
        record_id=request.record_id,
        operation=operation,
        fields={name: value for name, value in fields.items() if value is not None},
        cleared=tuple(name for name, value in fields.items() if value is None),
        version=version,
        changed_at=at,
        transaction=request.correlation,
        origin=None,
        change_id=f"{system}:{request.object}:{request.record_id}@{version}{suffix}",
    )
