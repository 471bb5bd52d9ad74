"""Hearing: what a change teaches a golden record, before anything is chosen.

Promises: of each field the newest version is kept whatever the order of arrival; what a system says because we wrote it is
known as ours. A change that is newer than all its record has said is taken as a whole, with the same result. No clock, no
chance, no I/O.
"""

from __future__ import annotations

from isthmus.codecs.change import Value
from isthmus.codecs.linked import Linked
from isthmus.codecs.reviews import PINS
from isthmus.tables import echoes
from isthmus.tables.deletes import by_us, hear
from isthmus.tables.golden import Golden
from isthmus.tables.heard import Heard
from isthmus.tables.intents import Intents
from isthmus.tables.pins import replaced
from isthmus.tables.precedence import same
from isthmus.tables.registering import held_by, put, sayers, take_out
from isthmus.tables.registers import Held, Said
from isthmus.tables.showing import rule_by_itself, value_at

NOTHING: Intents = {}


def learn(golden: Golden, change: Linked) -> Heard:
    """Take in what a change says of its record, and of its life."""
    heard = Heard()
    if change.native_id != PINS:
        heard.moved = hear(golden, change)
        if change.operation == "delete" and by_us(golden, change):
            heard.echoes = 1
    return say(golden, change, heard)


def say(golden: Golden, change: Linked, heard: Heard) -> Heard:
    """Take in what it says of the record's fields."""
    system, native_id = change.system, change.native_id
    held, intents = held_by(golden.registers, system, native_id), golden.intents.get(system)
    values = dict(change.values() if change.cleared else change.fields)
    row = change.row or change.operation == "undelete"  # which says again what the record held
    released = native_id == PINS and change.operation == "delete"
    ours = intents and not intents.keys().isdisjoint(values)
    if values and not (row or released or ours) and held.is_older(change.version):
        _say_all(golden, held, change, values, heard)
    else:
        _say_each(golden, held, change, values, heard, row=row, released=released)
    return heard


def _say_all(golden: Golden, held: Held, change: Linked, values: dict[str, Value], heard: Heard) -> None:
    """It is newer than all that its record has said, and nothing of it can be ours."""
    touched, before = heard.touched, take_out(held, values)
    for name in values:
        touched[name] = value_at(golden.registers, name) if rule_by_itself(held, name) is None else before[name][1]
    held.said.insert(0, Said(change.version, change.changed_at, change.change_id, False, values))
    heard.before, heard.opinions, heard.plain = before, len(values), True


def _say_each(
    golden: Golden, held: Held, change: Linked, values: dict[str, Value], heard: Heard, *, row: bool, released: bool
) -> None:
    version, change_id, when = change.version, change.change_id, change.changed_at
    intents, known = golden.intents.get(change.system, NOTHING), sayers(held, values)
    new: dict[tuple[str, str, str, bool], dict[str, Value]] = {}
    for name, value in values.items():
        said = known.get(name)
        if said is not None:
            if (version, change_id) <= (said.version, said.change_id):
                continue
            heard.before[name] = said, said.values[name]
        heard.touched[name] = value_at(golden.registers, name)
        if row and said is not None and same(said.values[name], value):
            # A full read that finds a value as it was is newer, but nobody said it anew. What a report told us of and
            # nobody has heard yet is our echo.
            if not said.change_id:
                heard.echoes += 1
                echoes.count(heard.layers, echoes.BY_REPORT)
            again = (version, said.when, said.change_id or change_id, said.derived)
            new.setdefault(again, {})[name] = said.values[name]
            continue
        # A null found by the first full read of a record is no opinion: nobody is known to have cleared it.
        blank = row and said is None and value is None
        ours = (name in intents and echoes.ours(golden, change, name, value, heard.layers)) or blank
        if ours and golden.pinned:
            replaced(golden, name, None if said is None else said.register(name))
        new.setdefault((version, when, change_id, ours or released), {})[name] = value
        if not ours:
            heard.opinions += 1
        elif not blank:
            heard.echoes += 1
    for meta, told in new.items():
        put(held, Said(*meta, told))
