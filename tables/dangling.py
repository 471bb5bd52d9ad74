"""Dangling references: those that count in a golden record and point at a record that nobody knows.

Promises: per field of a record its newest word is kept, whatever the order of arrival; what we wrote ourselves is none.
Which reference counts follows from the field's rule, as if its target were known. No clock, no chance, no I/O.
"""

from __future__ import annotations

from msgspec.structs import replace

from isthmus.codecs.linked import Linked, Resolved
from isthmus.config.followed import Followed
from isthmus.tables.golden import Golden
from isthmus.tables.intents import on_its_way
from isthmus.tables.pointers import Pointer
from isthmus.tables.precedence import choose
from isthmus.tables.registering import held_of
from isthmus.tables.registers import Held, Register


def point(golden: Golden, change: Linked, mapping: Followed) -> None:
    """Note what a change says of references that have to exist."""
    for field in mapping.existing:
        target = change.refers.get(field)
        if target is not None or field in change.cleared:
            _point(golden, change, field, target)


def _point(golden: Golden, change: Linked, field: str, target: str | None) -> None:
    place = change.system, change.native_id, field
    held = next((one for one in golden.pointing if one.place == place), None)
    said = golden.says(change.system, change.native_id, field)
    order = change.version, change.change_id
    if (held is not None and order <= held.order) or (target is not None and _known(said, change)):
        return
    ours = change.tagged is True or on_its_way(golden.intents.get(change.system, {}), field)
    kept = [one for one in golden.pointing if one.place != place]
    if target is not None and not ours:
        known = held.known if held is not None and held.target == target else None
        kept.append(Pointer(*place, target, change.version, change.changed_at, change.change_id, known))
    golden.pointing = kept


def _known(said: Register | None, change: Linked) -> bool:
    """Is this, or something newer, known of the field already? What a report told has no change id."""
    return said is not None and (change.version, "" if said.derived else change.change_id) <= (
        said.version,
        said.change_id,
    )


def answer(golden: Golden, item: Resolved) -> None:
    """Take in whether anybody knows what a field points at; of a target that it points at no more nothing follows."""
    place, known = (item.system, item.native_id, item.field), bool(item.value)
    golden.pointing = [
        replace(one, known=known) if one.place == place and one.target == item.target else one
        for one in golden.pointing
    ]


def dangling(golden: Golden, mapping: Followed, field: str) -> Pointer | None:
    """The reference that would count, where it is not known that its target is."""
    loose = {one.place: one for one in golden.pointing if one.field == field and not one.known and _lives(golden, one)}
    if not loose:
        return None
    registers = {system: dict(natives) for system, natives in golden.registers.items()}
    for one in loose.values():
        of = registers.setdefault(one.system, {})
        said = Register(one.target, one.version, one.when, one.change_id, False)
        of[one.native_id] = held_of({**dict(of.get(one.native_id, Held()).items()), field: said})
    chosen = choose(mapping.choices[field], registers)
    return next((loose[s, n, name] for name, s, n, _ in chosen if (s, n, name) in loose), None)


def _lives(golden: Golden, one: Pointer) -> bool:
    known = golden.living.get(one.system, {}).get(one.native_id)
    return known is not None and known.alive


# -- joins


def join(golden: Golden, other: Golden) -> None:
    """Take over what another golden record's records point at."""
    newest = {one.place: one for one in golden.pointing}
    for one in other.pointing:
        known = newest.get(one.place)
        newest[one.place] = one if known is None else max(known, one, key=lambda it: (it.order, it.known is not None))
    golden.pointing = list(newest.values())


def parted(golden: Golden, system: str, native: str) -> list[Pointer]:
    """What a record points at that is no part of the golden record any more."""
    gone = [one for one in golden.pointing if (one.system, one.native_id) == (system, native)]
    if gone:
        golden.pointing = [one for one in golden.pointing if one not in gone]
    return gone
