"""The refers table: which records point at a native record, kept where it is known whose that record is.

Promises: a reference whose target is known is told to merge at once, another one as soon as the target is linked; and
again whenever the target becomes another golden record's. Per pointing field only what was said last is kept, one key
each, so that nothing grows with the number of those that point at one record. No clock, no chance.
"""

from __future__ import annotations

from msgspec.structs import replace

from isthmus.codecs.arrival import native_key
from isthmus.codecs.linked import Refer, Resolved
from isthmus.tables.golden import Golden
from isthmus.tables.intents import VALUE
from isthmus.tables.registering import set_one
from isthmus.tables.unit import Table, Unit
from isthmus.tables.xref import XREF, Known

# Per pointing field under its target's key and its own; under the target's key alone, where anybody points at it.
REFERS: Table[Refer] = Table("refers", Refer)


def refer(unit: Unit, one: Refer) -> None:
    """Keep a reference, and say what it points at where that is known."""
    target = native_key(one.system, one.target)
    known = unit.get(XREF, target)
    key = _key(target, one)
    kept = unit.get(REFERS, key)
    if kept is None or kept.order() <= one.order():
        unit.put(REFERS, key, one)
    if unit.get(REFERS, target) is None:
        unit.put(REFERS, target, one)
    if known is not None and known.entity == one.to:
        _tell(unit, one, known, None)
    elif one.asks:
        _resolve(unit, one, "", one.change_id, None)


def relinked(unit: Unit, target: bytes, before: Known | None, now: Known) -> None:
    """A native record is a golden record's now: tell everybody who points at it."""
    if unit.get(REFERS, target) is None:
        return
    for key in list(unit.keys(REFERS.name, target + b"\0")):
        one = unit.get(REFERS, key)
        if one is not None and now.entity == one.to:
            _tell(unit, one, now, before.canonical if before else None)


def _key(target: bytes, one: Refer) -> bytes:
    return target + f"\0{one.native_id}/{one.field}".encode()


def _tell(unit: Unit, one: Refer, known: Known, was: str | None) -> None:
    """Of two that say the same version, the one that knew later is right: `~` sorts after every id."""
    change_id = f"~{known.turns:09d}~{one.change_id}" if known.turns else one.change_id
    _resolve(unit, one, known.canonical, change_id, was)


def _resolve(unit: Unit, one: Refer, value: str, change_id: str, was: str | None) -> None:
    resolved = Resolved(
        one.system,
        one.native_id,
        one.entity,
        one.canonical,
        one.field,
        value,
        one.version,
        one.changed_at,
        change_id,
        one.correlation,
        one.tagged,
        one.row,
        was,
        one.target,
        one.use,
    )
    unit.send("merge", one.canonical.encode(), resolved)


def rename(golden: Golden, item: Resolved) -> None:
    """What a system was told under the old name of a golden record comes back under the new one; what it says because we
    wrote it stays so."""
    for told in golden.intents.get(item.system, {}).get(item.field, []):
        if told[VALUE] == item.was:
            told[VALUE] = item.value
    held = golden.registers.get(item.system, {}).get(item.native_id)
    known = held.get(item.field) if held else None
    if held and known is not None and known.version == item.version and known.derived and known.value == item.was:
        set_one(held, item.field, replace(known, value=item.value, change_id=item.change_id))
