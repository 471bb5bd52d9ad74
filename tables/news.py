"""News: what a native record says by which it is linked.

Promises: `news` tells whether a record says anything by which it may turn out to be another golden record.
"""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.codecs.arrival import EXTERNAL
from isthmus.codecs.change import Value
from isthmus.codecs.linked import Linked
from isthmus.config.mapping import EntityMapping
from isthmus.tables.xref import Known


def news(known: Known, mapping: EntityMapping, external: Value, linked: Linked) -> Mapping[str, Value] | None:
    """What a record says by which it is linked, where that is not what it said before; None where it is."""
    said, fields = known.said, linked.fields
    if external is not None and external != said.get(EXTERNAL):
        return _now(said, mapping, external, linked)
    for name in mapping.linking:
        if name in fields and fields[name] != said.get(name):
            return _now(said, mapping, external, linked)
    for name in linked.cleared:
        if name in said and said[name] is not None:
            return _now(said, mapping, external, linked)
    return None


def _now(said: Mapping[str, Value], mapping: EntityMapping, external: Value, linked: Linked) -> Mapping[str, Value]:
    values = linked.values()
    now = {**said, **{name: values[name] for name in mapping.linking if name in values}}
    return now if external is None else {**now, EXTERNAL: external}
