"""Texts that a change tells as what differs from those before, made whole by what the record is known to say.

Promises: pure; a text is taken only where its hash is the one that was told, so a change that overtook another, or one that
was lost, does no harm; None asks for a read.
"""

from __future__ import annotations

from msgspec.structs import replace

from isthmus.codecs.arrival import Arrival
from isthmus.codecs.change import Change, Value
from isthmus.codecs.linked import Linked
from isthmus.codecs.text_differences import applied
from isthmus.config.mapping import EntityMapping
from isthmus.tables.golden import Golden

# What a change is called when it comes again because its text differs from another one than is known.
UNLIKE = "#unlike"


def whole(golden: Golden | None, change: Linked) -> Linked | None:
    """The change with whole texts; without those of which something newer is known. None where what is known is not what
    one of them differs from."""
    fields: dict[str, Value] = dict(change.fields)
    for name, difference in change.text_differences.items():
        known = None if golden is None else golden.says(change.system, change.native_id, name)
        if known is not None and change.version and change.version <= known.version:
            continue
        text = applied(known.value, difference) if known is not None and isinstance(known.value, str) else None
        if text is None:
            return None
        fields[name] = text
    return replace(change, fields=fields, text_differences={})


def to_be_read(change: Linked, mapping: EntityMapping) -> Arrival:
    """The change as it goes back to intake, which received it: a gap, for which the record is read."""
    gap = Change(
        change.system,
        mapping.systems[change.system].object,
        change.native_id,
        "gap",
        {},
        (),
        change.version or None,
        change.changed_at or None,
        change.correlation,
        None,
        f"{change.change_id}{UNLIKE}",
    )
    return Arrival(gap, change.correlation, again=f"{change.system}/{change.entity}")
