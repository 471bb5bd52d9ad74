"""Reevaluation: what counts in a golden record by another version of its mapping.

Promises: the registers stay as they are, so an older version that comes back gives what it gave before, but for opinions
that our own writes have replaced meanwhile, of which it is known what they were; only what differs is told. No clock, no
chance, no I/O.
"""

from __future__ import annotations

from isthmus.codecs.change import Value
from isthmus.codecs.events import Changed
from isthmus.codecs.linked import Linked
from isthmus.config.mapping import EntityMapping
from isthmus.tables.choosing import choose_anew
from isthmus.tables.deletes import living, turned
from isthmus.tables.folded import Folded, changed_event
from isthmus.tables.golden import Golden, Overruled
from isthmus.tables.quality import judge
from isthmus.tables.registers import Register
from isthmus.tables.showing import hide
from isthmus.tables.wishes import told, wishes

AUTHOR = "mapping"
GONE = "it is not mapped"


def reevaluate(golden: Golden, mapping: EntityMapping, version: str, at: str) -> Folded:
    """Choose every field anew; `golden` is used up. `version` and `at` (RFC 3339): of the activation."""
    cause = _cause(golden, version, at)
    changed = choose_anew(golden, mapping.followed, cause)
    changed |= _forgotten(golden, mapping)
    golden.overruled |= {name: Overruled(one.previous, version, at) for name, one in changed.items()}
    judged = judge(golden, cause, mapping, changed, None, anew=True) if mapping.quality or golden.rejected else None
    if judged is not None and judged.rejected:
        return Folded(golden, None, asides=judged.asides)
    lacking = wishes(golden, mapping.followed, mapping.systems, cause.correlation)
    before, alive = turned(golden, mapping.followed, lacking)
    if judged is not None:
        changed, before, alive = judged.changed, judged.before, living(golden, mapping.followed)
    if changed or lacking or before != alive:
        golden.revision += 1
    event = changed_event(golden, cause, changed, before, alive) if changed or before != alive else None
    asides = None if judged is None else judged.asides
    return Folded(golden, None, event, told(golden, lacking) if lacking else (), asides=asides)


def given_up(golden: Golden, version: str) -> dict[str, Value]:
    """What this version took the place of when it was put in force, of fields of which nobody has said anything since."""
    seen = {name: golden.seen(name) for name in golden.overruled}
    return {
        name: one.value
        for name, one in golden.overruled.items()
        if one.version == version and _is_older(seen[name], one.at)
    }


def _is_older(register: Register | None, at: str) -> bool:
    return register is None or register.when.removesuffix("Z") <= at.removesuffix("Z")


def _cause(golden: Golden, version: str, at: str) -> Linked:
    name = f"{AUTHOR}:{golden.entity}@{version}"
    return Linked(AUTHOR, version, golden.entity, golden.canonical, "update", {}, (), "", at, name, name)


def _forgotten(golden: Golden, mapping: EntityMapping) -> dict[str, Changed]:
    """Fields that the mapping does not have count no more."""
    gone = {name: golden.value(name) for name, _ in golden.whys() if name not in mapping.fields}
    for name in gone:
        hide(golden.registers, name)
    return {name: Changed(None, value, GONE) for name, value in gone.items() if value is not None}
