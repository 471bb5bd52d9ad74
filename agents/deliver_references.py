"""References as deliver writes them: by the external id of what they point at, and in a second pass where that is missing.

Promises: parents are written before children where both are on their way; a record whose optional references cannot be
followed yet is written without them, and each of them is tried again; one that is required lets its record wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace as changed

from msgspec.structs import replace

from isthmus.codecs.change import Value
from isthmus.codecs.linked import Tell
from isthmus.config.mapping import EntityMapping, Mappings
from isthmus.systems.protocol import Reference, Write
from isthmus.tables.golden import DesiredWrite
from isthmus.tables.unit import Unit


def plain(wish: DesiredWrite, entity: EntityMapping) -> DesiredWrite:
    """A wish without its references, whose values the platform has to find."""
    if not entity.references:
        return wish
    return replace(wish, fields={name: value for name, value in wish.fields.items() if name not in entity.references})


def pointing(write: Write, wish: DesiredWrite, entity: EntityMapping, mappings: Mappings) -> Write:
    """The write with the references of its wish."""
    declared = entity.systems[wish.system].declared
    fields: dict[str, Value] = dict(write.fields)
    references: dict[str, Reference] = {}
    for name, to in entity.references.items():
        target = mappings.entities[to].systems.get(wish.system)
        if name not in wish.fields or name not in declared or target is None:
            continue
        value, column = wish.fields[name], declared[name]
        if value is None:
            fields[column.column] = None
        else:
            references[column.bind or column.column] = Reference(target.object, str(value))
    return changed(write, fields=fields, references=references)


def apart(wish: DesiredWrite, entity: EntityMapping) -> tuple[DesiredWrite, DesiredWrite] | None:
    """What of a wish can be written now, and its optional references for later; None where that makes two of nothing."""
    held: Mapping[str, Value] = {
        name: value
        for name, value in wish.fields.items()
        if name in entity.references and not entity.fields[name].required and value is not None
    }
    rest = {name: value for name, value in wish.fields.items() if name not in held}
    if not held or not (rest or wish.native_id is None):
        return None
    return replace(wish, fields=rest), replace(wish, fields=held, known_version=None)


def singly(wish: DesiredWrite, mappings: Mappings) -> tuple[DesiredWrite, ...]:
    """A wish of a known record for several references and nothing else, as one for each; none where it is another."""
    references = mappings.entities[wish.entity].references
    if wish.native_id is None or len(wish.fields) < 2 or not wish.fields.keys() <= references.keys():
        return ()
    return tuple(replace(wish, fields={name: value}, known_version=None) for name, value in wish.fields.items())


def ask_to_be_found(unit: Unit, wish: DesiredWrite, entity: EntityMapping) -> None:
    """What a wish points at may be there and not bear our id yet, by which it would be found."""
    for name, to in entity.references.items():
        if (value := wish.fields.get(name)) is not None:
            unit.send("merge", str(value).encode(), Tell(wish.system, str(value), to, wish.correlation, found=True))
