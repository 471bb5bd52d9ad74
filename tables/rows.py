"""The rows table: the version of each record's last read, and whether it was still there.

Promises: a row that is gone becomes a delete whose version sorts after every version it had, also where we made it and it
went before anybody read it; one that never was there is no change at all, so a webhook of a rolled-back transaction does
no harm. What a feed says again of a version that is known is no change either, so a webhook and the feed tell a change
once between them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from isthmus.codecs.arrival import Reread
from isthmus.codecs.change import Change, Operation, Value
from isthmus.config.errors import PlatformError
from isthmus.tables.unit import Table

DIGITS = 20
SWEPT_AT_LEAST = 10
SWEPT_SHARE = 0.1
_sorted = msgspec.json.Encoder(order="sorted")


class KnownRow(msgspec.Struct, frozen=True, gc=False):
    """The last read of a record. `told`: a change told of it; before that it is known only so that its going and its
    changing can be noticed. `full`: the number of the last full read that met it."""

    version: str
    exists: bool = True
    told: bool = True
    full: int = 0


def rows(system: str) -> Table[KnownRow]:
    """The table of a system."""
    return Table(f"rows-{system}", KnownRow)


def numbered(known: KnownRow | None, row: KnownRow, fields: Mapping[str, Value]) -> KnownRow:
    """A read under a version of our own, for a platform whose versions tell equal from different and nothing more: the
    number of the read that first found it so, then the platform's version, else a digest of what was read. Reads of a
    record are serialised, so a later one is at least as new."""
    tag = row.version or f"#{hashlib.blake2b(_sorted.encode(fields), digest_size=12).hexdigest()}"
    if known is None:
        return KnownRow(f"{1:0{DIGITS}d} {tag}", row.exists)
    if known.exists and known.version[DIGITS + 1 :] == tag:
        return known
    return KnownRow(f"{int(known.version[:DIGITS]) + 1:0{DIGITS}d} {tag}", row.exists)


def news(
    system: str,
    request: Reread,
    known: KnownRow | None,
    row: KnownRow,
    fields: Mapping[str, Value],
    changed_at: str | None,
) -> tuple[Change | None, KnownRow | None]:
    """The change that a read tells of (the whole row), and what to remember; None where there is nothing to tell, or to
    remember: there never was such a record."""
    if not row.exists:
        return _gone(system, request, known)
    newest = known if known is not None and known.version > row.version else row
    told = known is not None and known.told
    remembered = KnownRow(newest.version, newest.exists, told, max(request.full, known.full if known else 0))
    if request.found is not None and not _is_news(request, known, row):
        return None, remembered
    change = read_change(system, request, _operation(known, newest), fields, row.version, changed_at)
    return change, msgspec.structs.replace(remembered, told=True)


def _operation(known: KnownRow | None, newest: KnownRow) -> Operation:
    """What a read tells of: a row that was gone and is there again was restored."""
    if known is None:
        return "create"
    return "update" if known.exists or newest is known else "undelete"


def _is_news(request: Reread, known: KnownRow | None, row: KnownRow) -> bool:
    """Does what a feed found say anything that nobody knew?"""
    if known is None:
        return not request.quiet
    return row.version > known.version or (request.nonce is not None and known.told and row.version == known.version)


def _gone(system: str, request: Reread, known: KnownRow | None) -> tuple[Change | None, KnownRow | None]:
    last = known or _made(request)
    if last is None or not last.exists:
        return None, None
    # Who has heard of it knows whose it was.
    held = request.holds or {} if known is None or not known.told else {}
    told = last.told or bool(held)
    gone = KnownRow(last.version + ".deleted", False, told, last.full)
    return (read_change(system, request, "delete", held, gone.version, request.at) if told else None), gone


def _made(request: Reread) -> KnownRow | None:
    """A record that nobody has read, but that we made."""
    return KnownRow(request.version) if request.holds and request.version else None


def read_change(
    system: str, request: Reread, operation: Operation, fields: Mapping[str, Value], version: str, at: str | None
) -> Change:
    """A read as a change. Its id is the row's version, so that equal reads are one change, unless the request wants an
    answer of its own: then a gap's, or a conflict's."""
    suffix = f"#{request.nonce}" if request.nonce else f"#{request.answers}" if request.answers else ""
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
        change_id=f"{read_id(system, request.object, request.record_id, version)}{suffix}",
    )


def read_id(system: str, object_: str, record_id: str, version: str) -> str:
    """The change id of a plain read of a record at a version."""
    return f"{system}:{object_}:{record_id}@{version}"


def too_many(missing: int, known: int) -> bool:
    """Is what a full read did not meet so much of what is known that it is not to be believed?"""
    return missing > max(SWEPT_AT_LEAST, SWEPT_SHARE * known)


def too_many_gone(missing: int, known: int, object_: str) -> PlatformError:
    """The fault of a full read that is not believed."""
    text = f"a full read met {missing} of {known} known {object_} rows no more"
    return PlatformError(text, code="TOO_MANY_GONE", hint="may the application user still read every row?")
