"""Precedence: which of the systems' opinions of a field is the golden value.

Promises: a pure choice that does not depend on the order in which opinions came; our own writes coming back (derived
registers) are no opinions; fields of a group come from one record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from isthmus.codecs.change import Value
from isthmus.config.mapping import EntityMapping, Owner, Precedence, Rule


@dataclass(frozen=True, slots=True)
class Register:
    """What one record of one system says of one field. `derived`: it says so because we wrote it."""

    value: Value
    version: str
    when: str
    change_id: str
    derived: bool

    def to_wire(self) -> list[Value]:
        """JSON-ready."""
        return [self.value, self.version, self.when, self.change_id, self.derived]


@dataclass(frozen=True, slots=True)
class Opinion:
    """A register with where it stands, and the name of the rule that chose it."""

    system: str
    native_id: str
    register: Register
    rule: str = ""


Records = list[tuple[str, str, Mapping[str, Register]]]


def same(one: Value, other: Value) -> bool:
    """Equal as both platforms see it: an empty text is nothing, 5 is 5.0, and money may come as text."""
    if one == other:
        return True
    if one in (None, "") or other in (None, ""):
        return one in (None, "") and other in (None, "")
    return isinstance(one, str) != isinstance(other, str) and _number(one) == _number(other) is not None


def _number(value: Value) -> Decimal | None:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None


def choose(mapping: EntityMapping, records: Iterable[tuple[str, str, Mapping[str, Register]]]) -> dict[str, Opinion]:
    """The opinion that counts, by field; fields of which nobody has an opinion are left out."""
    known = list(records)
    chosen: dict[str, Opinion] = {}
    for name, spec in mapping.fields.items():
        if spec.group is None and (best := _best(mapping.rule(name), known, (name,))) is not None:
            chosen[name] = best
    for group, rule in mapping.groups.items():
        names = tuple(name for name, spec in mapping.fields.items() if spec.group == group)
        if (best := _best(rule, known, names)) is not None:
            chosen.update(_together(best, known, names))
    return chosen


def _best(rule: Rule, records: Records, names: tuple[str, ...]) -> Opinion | None:
    """The newest opinion of any of these fields, of the systems that the rule lets speak first."""
    opinions = [
        Opinion(system, native, held[name], rule_name(rule))
        for system, native, held in records
        for name in names
        if name in held and not held[name].derived
    ]
    for wanted in _turns(rule):
        heard = [one for one in opinions if wanted is None or one.system == wanted]
        if heard:
            return max(heard, key=_rank)
    return None


def _together(best: Opinion, records: Records, names: tuple[str, ...]) -> dict[str, Opinion]:
    held = next(held for system, native, held in records if (system, native) == (best.system, best.native_id))
    empty = Register(None, best.register.version, best.register.when, best.register.change_id, False)
    return {name: Opinion(best.system, best.native_id, held.get(name, empty), best.rule) for name in names}


def _turns(rule: Rule) -> tuple[str | None, ...]:
    match rule:
        case Owner(owner=system):
            return (system,)
        case Precedence(precedence=systems):
            return systems
    return (None,)


def rule_name(rule: Rule) -> str:
    """A rule as people read it."""
    match rule:
        case Owner(owner=system):
            return f"owner {system}"
        case Precedence(precedence=systems):
            return f"precedence {' > '.join(systems)}"
    return "last_writer"


def _rank(opinion: Opinion) -> tuple[str, str, str, str, str]:
    register = opinion.register
    # Without the Z, since a fraction of a second sorts before it.
    return (register.when.removesuffix("Z"), opinion.system, register.version, opinion.native_id, register.change_id)
