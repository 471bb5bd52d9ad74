"""Retelling: what a golden record would hold, had its newest changes come in by another mapping.

Promises: pure, and the record stays as it is; only what the given changes told is translated anew, everything older counts
as it was taken in. What we wrote ourselves is no opinion, as in the fold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from isthmus.codecs.change import Change, Value
from isthmus.codecs.reviews import PINS
from isthmus.codecs.translation import Translation
from isthmus.config.errors import TransformError
from isthmus.config.mapping import EntityMapping
from isthmus.tables.golden import Golden
from isthmus.tables.pins import rule_of
from isthmus.tables.precedence import choose, same
from isthmus.tables.registering import held_of, set_one
from isthmus.tables.registers import Held, Register

Registers = dict[str, dict[str, Held]]


@dataclass(frozen=True, slots=True)
class Difference:
    """A golden value that would be another: `before` and `after` (None: null, or nothing), and by which rule."""

    entity: str
    canonical: str
    field: str
    before: Value
    after: Value
    rule: str


@dataclass(slots=True)
class Retold:
    """What a record would come to."""

    differences: list[Difference] = field(default_factory=list)
    refused: list[TransformError] = field(default_factory=list)


def retell(
    golden: Golden, changes: Iterable[Change], mapping: EntityMapping, translations: Mapping[str, Translation]
) -> Retold:
    """Tell a record's changes anew. `translations`: by system."""
    retold = Retold()
    held = _listened_to(golden, mapping)
    for change in sorted(changes, key=lambda change: (change.version or "", change.change_id)):
        natives = held.get(change.system, {})
        if change.record_id in natives and change.system in mapping.systems:
            told = translations[change.system].inward(change.fields, change.cleared)
            retold.refused += told.refused
            fields = {name: value for name, value in told.fields.items() if name not in mapping.references}
            _take(natives[change.record_id], change, {**dict.fromkeys(told.cleared), **fields})
    retold.differences += _differences(golden, held, mapping)
    return retold


def _listened_to(golden: Golden, mapping: EntityMapping) -> Registers:
    """Copies of the registers, but for fields on which a system is no longer listened to."""
    inward = {
        system: {name for name, column in one.declared.items() if column.inward}
        for system, one in mapping.systems.items()
    }
    return {
        system: {
            native: held_of({n: one for n, one in held.items() if native == PINS or n in inward.get(system, ())})
            for native, held in natives.items()
        }
        for system, natives in golden.registers.items()
    }


def _take(held: Held, change: Change, values: Mapping[str, Value]) -> None:
    """Set what a change told, where nothing newer was told; a value that is ours stays so."""
    version = change.version or ""
    for name, value in values.items():
        known = held.get(name)
        if known is None or version > known.version:
            set_one(held, name, Register(value, version, change.changed_at or "", change.change_id, False))
        elif version == known.version:
            set_one(held, name, Register(value, version, known.when, known.change_id, known.derived))


def _differences(golden: Golden, held: Registers, mapping: EntityMapping) -> Iterable[Difference]:
    before = golden.values()
    after: dict[str, tuple[Value, str]] = {}
    for choice in dict.fromkeys(mapping.choices.values()):
        for name, _, native, register in choose(choice, held):
            after[name] = (register.value, rule_of(register) if native == PINS else choice.rule)
    for name in dict.fromkeys((*before, *after)):
        # Where nobody has an opinion any more, what was seen stays.
        kept = before.get(name) if name in mapping.fields else None
        value, rule = after.get(name, (kept, "nobody tells it" if name in mapping.fields else "it is not mapped"))
        if not same(before.get(name), value):
            yield Difference(golden.entity, golden.canonical, name, before.get(name), value, rule)
